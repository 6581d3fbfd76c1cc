// SPDX-License-Identifier: Apache-2.0
#include "quant/bnb_checkpoint.h"

#include <gtest/gtest.h>

#include <cstring>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/io/atomic.h"
#include "core/random.h"
#include "tests/support/error_text.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/golden.h"

namespace inlay {
namespace {

const char* const kGolden = "quant/llama_tied_nf4.safetensors";
const char* const kWeight = "model.layers.0.self_attn.q_proj.weight";

std::string content(const TensorEntry& entry) {
  return {reinterpret_cast<const char*>(entry.data.data()), entry.data.size()};
}

TEST(BnbCheckpoint, ReadsWhatBitsandbytesWrote) {
  const SafetensorsModel model(golden(kGolden));
  i64 found = 0;
  for (const TensorEntry* entry : model.entries()) {
    if (!is_four_bit(model, entry->name)) {
      continue;
    }
    ++found;
    const FourBitMatrix matrix = read_four_bit(model, entry->name);
    EXPECT_EQ(matrix.type, FourBitType::kNf4);
    EXPECT_TRUE(matrix.double_quant());
    EXPECT_EQ(matrix.block_size, 64);
    EXPECT_EQ(matrix.dtype, DType::kF32);
    // No weight of this model is over one: initializer_range is 0.15.
    for (const float value : matrix.frozen().decode(0, matrix.rows).to_vector()) {
      ASSERT_LT(std::abs(value), 1.0F);
    }
  }
  EXPECT_EQ(found, 14);  // two layers of seven linear maps
  EXPECT_FALSE(is_four_bit(model, "model.embed_tokens.weight"));
  EXPECT_EQ(read_four_bit(model, kWeight).rows, 32);
}

TEST(BnbCheckpoint, WritesWhatBitsandbytesWrites) {
  FaultyFileSystem files("/memory");
  const ScopedFileSystem scope(files);
  const SafetensorsModel model(golden(kGolden));
  std::vector<FourBitMatrix> matrices;
  matrices.reserve(model.entries().size());
  std::vector<TensorToWrite> tensors;
  for (const TensorEntry* entry : model.entries()) {
    if (is_four_bit(model, entry->name)) {
      matrices.push_back(read_four_bit(model, entry->name));
      for (TensorToWrite& tensor : four_bit_tensors(entry->name, matrices.back())) {
        tensors.push_back(std::move(tensor));
      }
    } else if (entry->name.find("_proj.weight.") == std::string::npos) {
      tensors.push_back({entry->name, *entry->dtype, entry->shape, entry->data});
    }
  }
  write_safetensors("/memory/a.safetensors", tensors);
  EXPECT_TRUE(files.read("/memory/a.safetensors", 1 << 20) ==
              posix_file_system().read(golden(kGolden), 1 << 20));
}

TEST(BnbCheckpoint, WhatIsWrittenIsReadBack) {
  FaultyFileSystem files("/memory");
  const ScopedFileSystem scope(files);
  Tensor x = Tensor::empty({5, 77});  // an odd count: the last byte has a spare nibble
  fill_normal(x.mutable_values(), RandomKey(3), 0.0F, 1.0F);
  for (const FourBitType type : {FourBitType::kNf4, FourBitType::kFp4}) {
    for (const bool double_quant : {false, true}) {
      const Tensor source = x.to(DType::kBf16);
      const FourBitMatrix before = quantize_four_bit(
          matrix_ref(source), {.type = type, .block_size = 32, .double_quant = double_quant});
      write_safetensors("/memory/a.safetensors", four_bit_tensors("m.weight", before));
      const SafetensorsModel model("/memory/a.safetensors");
      const FourBitMatrix after = read_four_bit(model, "m.weight");
      EXPECT_EQ(after.type, type);
      EXPECT_EQ(after.double_quant(), double_quant);
      EXPECT_EQ(after.dtype, DType::kBf16);
      EXPECT_EQ(after.frozen().decode(0, 5).to_vector(), before.frozen().decode(0, 5).to_vector());
    }
  }
}

/// A small checkpoint whose tensors a case may change before it is written.
class BrokenCheckpoint : public ::testing::Test {
 protected:
  struct Stored {
    DType dtype = DType::kU8;
    std::string bytes;
  };
  using Tensors = std::map<std::string, Stored>;  // by what follows "m.weight"

  BrokenCheckpoint() : files_("/memory"), scope_(files_) {}

  static Tensors valid(bool double_quant) {
    Tensor x = Tensor::full({4, 40}, 0.5F);
    const FourBitMatrix matrix = quantize_four_bit(matrix_ref(x), {.double_quant = double_quant});
    write_safetensors("/memory/valid.safetensors", four_bit_tensors("m.weight", matrix));
    const SafetensorsFile file("/memory/valid.safetensors");
    Tensors tensors;
    for (const TensorEntry& entry : file.entries()) {
      tensors[entry.name.substr(8)] = {*entry.dtype, content(entry)};
    }
    return tensors;
  }

  static std::string refusal(const Tensors& tensors) {
    std::vector<TensorToWrite> list;
    for (const auto& [suffix, stored] : tensors) {
      const auto count = static_cast<i64>(stored.bytes.size()) / size_of(stored.dtype);
      list.push_back({"m.weight" + suffix,
                      stored.dtype,
                      {count},
                      std::as_bytes(std::span<const char>(stored.bytes))});
    }
    write_safetensors("/memory/a.safetensors", list);
    return error_text<Error>([] {
      const SafetensorsModel model("/memory/a.safetensors");
      read_four_bit(model, "m.weight");
    });
  }

  /// The refusal when one piece of the quant state's text is another.
  static std::string with_state(const std::string& from, const std::string& to) {
    Tensors tensors = valid(true);
    std::string& text = tensors[kState].bytes;
    const std::size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << text;
    text.replace(at, from.size(), to);
    return refusal(tensors);
  }

  inline static const std::string kState = ".quant_state.bitsandbytes__nf4";
  inline static const std::string kWhere = "/memory/a.safetensors: \"m.weight";
  FaultyFileSystem files_;
  ScopedFileSystem scope_;
};

TEST_F(BrokenCheckpoint, TheUnbrokenOneIsRead) {
  EXPECT_EQ(refusal(valid(false)), "no error");
  EXPECT_EQ(refusal(valid(true)), "no error");
}

TEST_F(BrokenCheckpoint, EveryMissingTensorIsNamed) {
  for (const auto& [suffix, stored] : valid(true)) {
    Tensors tensors = valid(true);
    tensors.erase(suffix);
    EXPECT_TRUE(
        refusal(tensors).starts_with("/memory/a.safetensors: no tensor \"m.weight" + suffix + "\""))
        << refusal(tensors);
  }
}

TEST_F(BrokenCheckpoint, EveryTensorOfTheWrongSizeOrTypeIsNamed) {
  const std::map<std::string, std::string> sentences = {
      {"", "64 bytes of codes for 4 x 40 weights of half a byte"},
      {".absmax", "expected 3 u8 scale codes, found 64 bytes of U8"},
      {".quant_map", "expected 16 f32 levels, found 64 bytes of U8"},
      {".nested_absmax", "expected 1 f32 scales of scales, found 64 bytes of U8"},
      {".nested_quant_map", "expected 256 f32 levels, found 64 bytes of U8"}};
  for (const auto& [suffix, sentence] : sentences) {
    Tensors tensors = valid(true);
    tensors[suffix] = {DType::kU8, std::string(64, '\0')};
    EXPECT_EQ(refusal(tensors), str(kWhere, suffix, "\": ", sentence));
  }
  Tensors plain = valid(false);
  plain[".absmax"].bytes.resize(8);
  EXPECT_EQ(refusal(plain), kWhere + ".absmax\": expected 3 f32 scales, found 8 bytes of F32");
}

TEST_F(BrokenCheckpoint, ScalesMustBeFinite) {
  Tensors tensors = valid(false);
  tensors[".absmax"].bytes.replace(4, 4, std::string("\x00\x00\xc0\x7f", 4));
  EXPECT_EQ(refusal(tensors), kWhere + ".absmax\": a value is not finite");
}

TEST_F(BrokenCheckpoint, TwoQuantStatesAreRefused) {
  Tensors tensors = valid(true);
  tensors[".quant_state.bitsandbytes__fp4"] = tensors[kState];
  EXPECT_EQ(refusal(tensors), kWhere +
                                  ".quant_state.bitsandbytes__fp4\": this weight has a quant state "
                                  "of nf4 too");
}

TEST_F(BrokenCheckpoint, EveryFieldOfTheStateIsChecked) {
  const struct {
    std::string from, to, error;
  } cases[] = {
      {"\"nf4\"", "\"fp4\"", "/quant_type: expected that of the tensor's name, found \"fp4\""},
      {"\"nf4\"", "4", "/quant_type: expected a string, found 4"},
      {"\"blocksize\": 64", "\"blocksize\": 48",
       "/blocksize: expected a power of two from 32 to 4096, found 48"},
      {"\"blocksize\": 64", "\"blocksize\": 0",
       "/blocksize: expected a power of two from 32 to 4096, found 0"},
      {"\"blocksize\": 64", "\"blocksize\": -64", "/blocksize: expected a whole number, found -64"},
      {"\"blocksize\": 64, ", "", "no \"blocksize\""},
      {"\"float32\", \"shape\"", "\"float64\", \"shape\"",
       "/dtype: expected float32, bfloat16 or float16, found \"float64\""},
      {"[4, 40]", "[4]", "/shape: expected [out, in], found [4]"},
      {"[4, 40]", "[4, -40]", "/shape: expected [out, in], found [4,-40]"},
      {"[4, 40]", "\"4 40\"", "/shape: expected [out, in], found \"4 40\""},
      {"\"nested_blocksize\": 256", "\"nested_blocksize\": 0",
       "/nested_blocksize: expected a number from 1, found 0"},
      {"\"nested_dtype\": \"float32\"", "\"nested_dtype\": \"float16\"",
       "/nested_dtype: expected float32, found \"float16\""},
      {"\"nested_offset\": 0.5", "\"nested_offset\": 1e300",
       "/nested_offset: expected a finite number, found 1e+300"},
      {"\"nested_offset\": 0.5", "\"nested_offset\": null",
       "/nested_offset: expected a finite number, found null"},
      {", \"nested_offset\": 0.5", "", "no \"nested_offset\""},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(with_state(c.from, c.to), kWhere + kState + "\": " + c.error);
  }
  EXPECT_EQ(with_state("[4, 40]", "[4611686018427387904, 4]"),
            kWhere + "\": the size of its shape overflows");
  EXPECT_EQ(with_state("[4, 40]", "[4, 41]"),
            kWhere + "\": 80 bytes of codes for 4 x 41 weights of half a byte");
  EXPECT_EQ(with_state("[4, 40]", "[4, 0]"),
            kWhere + "\": 80 bytes of codes for 4 x 0 weights of half a byte");
  EXPECT_EQ(with_state("{", "[").substr(0, 90),
            (kWhere + kState + "\": line 1, column 14: syntax error while parsing").substr(0, 90));
}

}  // namespace
}  // namespace inlay
