// SPDX-License-Identifier: Apache-2.0

// Model files that are damaged, lie, or belong to another model, through the real command: exit
// code 4 and one sentence with the file and the tensor or key.

#include <gtest/gtest.h>

#include <cstddef>
#include <cstring>
#include <filesystem>
#include <limits>

#include "core/io/gguf.h"
#include "tests/apps/workshop.h"
#include "tests/support/known_families.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

class BadSafetensors : public ::testing::Test {
 protected:
  static constexpr const char* kTable = "model.embed_tokens.weight";

  void expect(const std::string& sentence) const {
    workshop_.expect_refused("eval -m model --tokenizer bytes -d rows.jsonl", kData, sentence);
  }
  void expect_of_file(const std::string& sentence) const {
    expect("model/model.safetensors: " + sentence);
  }
  void write(const std::string& content) const {
    workshop_.write("model/model.safetensors", content);
  }
  template <class Change>
  void change_header(const Change& change) const {
    auto [header, data] = split_safetensors(file_);
    change(header);
    write(join_safetensors(header.dump(), data));
  }
  void change_table(const std::string& key, const Json& value) const {
    change_header([&](Json& header) { header[kTable][key] = value; });
  }

  Workshop workshop_;
  const std::string file_ = workshop_.read("model/model.safetensors");
  const std::string header_ = split_safetensors(file_).first.dump();
  const std::string data_ = split_safetensors(file_).second;
};

TEST_F(BadSafetensors, ACutOrForeignFileIsNamedAsSuch) {
  const std::string header_size = std::to_string(file_.size() - data_.size() - 8);
  const std::string data_size = std::to_string(data_.size());
  struct Case {
    std::string content, sentence;
  };
  const std::string no_file = "not a safetensors file: ";
  const Case cases[] = {
      {"", no_file + "0 bytes, fewer than the 8 of the header's length"},
      {file_.substr(0, 7), no_file + "7 bytes, fewer than the 8 of the header's length"},
      {file_.substr(0, 508),
       "cut short: the header takes " + header_size + " bytes, and 500 follow"},
      {file_.substr(0, file_.size() - 10), "cut short: the tensors take " + data_size +
                                               " bytes, and " + std::to_string(data_.size() - 10) +
                                               " follow the header"},
      {file_ + "xx", "bytes behind the last tensor: the tensors take " + data_size +
                         " bytes, and " + std::to_string(data_.size() + 2) + " follow the header"},
      {std::string("\0\0\0\0\0\1\0\0{}", 10),
       no_file + "a header of 1099511627776 bytes, more than the 100000000 allowed"},
      {std::string(8, '\xFF'),
       no_file + "a header of 18446744073709551615 bytes, more than the 100000000 allowed"},
      {join_safetensors("[1]", data_), no_file + "the header does not begin with {"},
      {join_safetensors("{\"a\": ", data_),
       "header: line 1, column 7: syntax error while parsing value - unexpected end of input; "
       "expected '[', '{', or a literal"},
      {join_safetensors(R"({"a": 1, "a": 1})", ""),
       R"(header: line 1, column 10: key "a" is given twice in one object)"},
      {join_safetensors(R"({"__metadata__": {"a": 3}})", ""),
       R"(__metadata__: "a": expected a string, found 3)"},
  };
  for (const Case& c : cases) {
    write(c.content);
    expect_of_file(c.sentence);
  }
}

TEST_F(BadSafetensors, ATensorIsNamedWithWhatItSaysOfItself) {
  const std::string table = "\"" + std::string(kTable) + "\": ";
  struct Case {
    std::string key;
    Json value;
    std::string sentence;
  };
  const i64 huge = i64{1} << 40;
  const Case cases[] = {
      {"dtype", "I32", "expected [256, 32] f32, bf16 or f16, found [256, 32] i32"},
      {"dtype", "F33", R"(unknown dtype "F33" (did you mean "F32"?))"},
      {"dtype", 3, "dtype: expected a string, found 3"},
      {"dtype", "F16", "its shape needs 16384 bytes, its data_offsets hold 32768"},
      {"shape", {32, 256}, "expected [256, 32] f32, bf16 or f16, found [32, 256] f32"},
      {"shape",
       {1, 1, 1, 1, 1, 256, 32},
       "expected [256, 32] f32, bf16 or f16, found [1, 1, 1, 1, 1, 256, 32] f32"},
      {"shape", {huge, huge}, "the size of its shape overflows"},
      {"shape", {-1, 5}, "shape: expected whole numbers from 0, found -1"},
      {"shape", {1.5}, "shape: expected whole numbers from 0, found 1.5"},
      {"data_offsets", {1}, "data_offsets: expected [begin, end], found 1 numbers"},
  };
  for (const Case& c : cases) {
    change_table(c.key, c.value);
    expect_of_file(table + c.sentence);
  }
  change_header([](Json& header) { header[kTable].erase("data_offsets"); });
  expect_of_file(table + "no \"data_offsets\"");
}

TEST_F(BadSafetensors, TensorsThatOverlapOrGoBeyondTheFileAreNamed) {
  write(join_safetensors(R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [0, 4]},)"
                         R"( "b": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]}})",
                         "123456"));
  expect_of_file("\"b\": begins at byte 2 of the data instead of 4: tensors overlap");
  write(join_safetensors(R"({"a": {"dtype": "U8", "shape": [4], "data_offsets": [2, 6]}})",
                         "123456"));
  expect_of_file("\"a\": begins at byte 2 of the data instead of 0: bytes between the tensors");
  write(join_safetensors(R"({"a": {"dtype": "U8", "shape": [9], "data_offsets": [0, 9]}})",
                         "123456"));
  expect_of_file("cut short: the tensors take 9 bytes, and 6 follow the header");
}

TEST_F(BadSafetensors, AMissingTensorComesWithTheNearestName) {
  change_header([](Json& header) {
    header["model.norm.weigth"] = header["model.norm.weight"];
    header.erase("model.norm.weight");
  });
  expect(R"(model: no tensor "model.norm.weight" (did you mean "model.norm.weigth"?))");
}

TEST_F(BadSafetensors, WeightsThatAreNotFiniteAreNotTrainedNorMerged) {
  const Json header = split_safetensors(file_).first;
  const i64 begin = header["model.norm.weight"]["data_offsets"][0].get<i64>();
  const float bad = std::numeric_limits<float>::quiet_NaN();
  std::string data = data_;
  std::memcpy(data.data() + begin, &bad, sizeof bad);
  write(join_safetensors(header_, data));
  const std::string sentence =
      "model/model.safetensors: \"model.norm.weight\": 1 of its 32 values are not finite (NaN or "
      "infinity): the file is damaged, or the model broke in its training";
  workshop_.expect_refused("train run.json --dry-run", kData, sentence);
  workshop_.expect_refused("merge -m model -a adapter --out merged", kData, sentence);
}

TEST_F(BadSafetensors, AFolderIsToldWhatItLacks) {
  const Json config = workshop_.read_json("model/config.json");
  const auto with = [&](const std::string& key, const Json& value) {
    Json changed = config;
    changed[key] = value;
    workshop_.write("model/config.json", changed.dump());
  };
  with("model_type", "mistrall");
  expect(str("model/config.json: /model_type: \"mistrall\" is not a family inlay knows (",
             testing::known_families(), ") (did you mean \"mistral\"?)"));
  with("num_hidden_layers", 3);
  expect(R"(model/config.json: /num_hidden_layers: 3, but the file has 2 layers, up to )"
         R"("model.layers.1.input_layernorm.weight"; set it to 2)");
  with("num_hidden_layers", 1);
  expect(R"(model/config.json: /num_hidden_layers: 1, but the file has 2 layers, up to )"
         R"("model.layers.1.input_layernorm.weight"; set it to 2)");
  with("vocab_size", 300);
  expect_of_file("\"" + std::string(kTable) +
                 "\": expected [300, 32] f32, bf16 or f16, found [256, 32] f32");
  workshop_.write("model/config.json", "[]");
  expect("model/config.json: expected a JSON object");
  std::filesystem::remove(workshop_.path("model/config.json"));
  expect("model: not a model folder: it has no config.json");
  workshop_.write("model/config.json", config.dump());
  std::filesystem::remove(workshop_.path("model/model.safetensors"));
  expect("model: neither model.safetensors nor model.safetensors.index.json is there");
  workshop_.write("model/pytorch_model.bin", "x");
  expect(
      "model/pytorch_model.bin: a pickle file, which can run any code when it is read; save the "
      "model as safetensors (save_pretrained does so) and use that");
  workshop_.write("model/model.safetensors.index.json", R"({"weight_map": {"a": "../x"}})");
  expect(
      "model/model.safetensors.index.json: /weight_map: \"a\": expected the name of a file in "
      "the same folder, found \"../x\"");
  workshop_.write("model/model.safetensors.index.json",
                  R"({"weight_map": {"a": "s.safetensors"}})");
  expect(
      "model/model.safetensors.index.json: /weight_map: \"a\": no file s.safetensors in the "
      "folder");
}

// A GGUF file piece by piece, so that each of them can lie.
class GgufBytes {
 public:
  explicit GgufBytes(u32 version = 3, const std::string& magic = "GGUF") {
    bytes_ = magic;
    number(version);
  }
  template <class T>
  GgufBytes& number(T value) {
    bytes_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  GgufBytes& text(const std::string& value) {
    number(static_cast<u64>(value.size()));
    bytes_ += value;
    return *this;
  }
  GgufBytes& counts(u64 tensors, u64 keys) { return number(tensors).number(keys); }
  GgufBytes& key(const std::string& name, GgufValueType type) {
    return text(name).number(static_cast<u32>(type));
  }
  GgufBytes& tensor(const std::string& name, const std::vector<u64>& dims, u32 type, u64 offset) {
    text(name).number(static_cast<u32>(dims.size()));
    for (const u64 dim : dims) {
      number(dim);
    }
    return number(type).number(offset);
  }
  std::string bytes() const { return bytes_; }

 private:
  std::string bytes_;
};

TEST(BadGguf, ACutOrForeignFileIsNamedAsSuch) {
  const u64 huge = u64{1} << 60;
  struct Case {
    std::string content, sentence;  // behind "model.gguf: "
  };
  const Case cases[] = {
      {"", R"(not a GGUF file: begins with "")"},
      {GgufBytes(3, "GGML").counts(0, 0).bytes(), R"(not a GGUF file: begins with "GGML")"},
      {GgufBytes(1).counts(0, 0).bytes(),
       "GGUF version 1; versions 2 and 3 are read, convert the model again"},
      {GgufBytes(9).counts(0, 0).bytes(), "GGUF version 9; versions 2 and 3 are read"},
      {GgufBytes(0x03000000).counts(0, 0).bytes(),
       "a big-endian GGUF file; convert it to little-endian"},
      {GgufBytes().bytes(),
       "cut short: the number of tensors takes 8 bytes at byte 8, and 0 are left"},
      {GgufBytes().counts(huge, 0).bytes(),
       "1152921504606846976 tensors cannot fit in the 0 bytes left"},
      {GgufBytes().counts(0, huge).bytes(),
       "1152921504606846976 keys cannot fit in the 0 bytes left"},
      {GgufBytes().counts(0, 1).number(~u64{0}).text("abc").bytes(),
       "cut short: key 0 takes 18446744073709551615 bytes at byte 32, and 11 are left"},
      {GgufBytes().counts(0, 1).key("a", GgufValueType::kArray).number(u32{4}).number(huge).bytes(),
       R"("a": 1152921504606846976 elements of type u32 cannot fit in the 0 bytes left)"},
      {GgufBytes().counts(0, 1).text("a").number(u32{77}).bytes(), R"("a": unknown value type 77)"},
      {GgufBytes()
           .counts(0, 2)
           .key("a", GgufValueType::kU32)
           .number(u32{1})
           .key("a", GgufValueType::kU32)
           .number(u32{1})
           .bytes(),
       R"("a": given twice)"},
      {GgufBytes().counts(1, 0).tensor("t", {32}, 99, 0).bytes(), R"("t": unknown tensor type 99)"},
      {GgufBytes().counts(1, 0).tensor("t", {32}, 0, 0).bytes(),
       R"("t": cut short: its data ends at byte 192 of the file, which has 57)"},
      {GgufBytes().counts(1, 0).tensor("t", {32}, 0, 64).bytes(),
       R"("t": its data is at offset 64 instead of 0: tensors follow one another, each padded to )"
       "32 bytes"},
      {GgufBytes().counts(1, 0).tensor("t", {huge, huge}, 0, 0).bytes(),
       R"("t": the size of its shape overflows)"},
      {GgufBytes().counts(0, 0).bytes(), R"(no key "general.architecture")"},
  };
  const Workshop workshop;
  for (const Case& c : cases) {
    workshop.write("model.gguf", c.content);
    workshop.expect_refused("eval -m model.gguf --tokenizer bytes -d rows.jsonl", kData,
                            "model.gguf: " + c.sentence);
  }
}

class BadGgufModel : public ::testing::Test {
 protected:
  BadGgufModel() {
    keys_ = {{"general.architecture", std::string("llama")},   {"llama.embedding_length", u32{32}},
             {"llama.feed_forward_length", u32{64}},           {"llama.block_count", u32{1}},
             {"llama.attention.head_count", u32{4}},           {"llama.context_length", u32{64}},
             {"llama.attention.layer_norm_rms_epsilon", 1e-5F}};
  }
  void set(const std::string& key, const GgufValue& value) {
    for (auto& [name, old] : keys_) {
      if (name == key) {
        old = value;
      }
    }
  }
  void expect(const std::string& sentence, std::vector<i64> table = {256, 32}, u32 type = 0) const {
    i64 bytes = type == 0 ? 4 : 0;  // f32
    for (const i64 dim : table) {
      bytes *= dim;
    }
    if (type != 0) {
      bytes = gguf_tensor_bytes("test", type, table);
    }
    const std::vector<std::byte> zeros(bytes);
    write_gguf(workshop_.path("model.gguf"), keys_,
               {{"token_embd.weight", std::move(table), type, std::span(zeros)}});
    workshop_.expect_refused("eval -m model.gguf --tokenizer bytes -d rows.jsonl", kData,
                             "model.gguf: " + sentence);
  }

  Workshop workshop_;
  GgufMetadata keys_;
};

TEST_F(BadGgufModel, NamesTheKey) {
  set("general.architecture", std::string("qwen9"));
  expect(
      R"("general.architecture": "qwen9" is not an architecture inlay knows (llama, gpt2, qwen2, …)");
  set("general.architecture", std::string("llama"));
  set("llama.embedding_length", std::string("x"));
  expect(R"("llama.embedding_length": expected a whole number below 2^63, found a string)");
  set("llama.embedding_length", u32{32});
  set("llama.attention.head_count", u32{0});
  expect("/num_attention_heads: expected an integer from 1 to 2147483648, found 0");
  set("llama.attention.head_count", u32{4});
  set("llama.block_count", u32{4'000'000'000});
  expect("/num_hidden_layers: expected an integer from 1 to 2147483648, found 4000000000");
  keys_.erase(keys_.begin() + 3);
  expect(R"(no key "llama.block_count")");
}

TEST_F(BadGgufModel, NamesTheTensor) {
  expect(R"(no tensor "output_norm.weight")");
  expect(R"("token_embd.weight": expected [256, 32], found [256, 64])", {256, 64});
  expect(R"("token_embd.weight": expected two axes, found 1)", {8192});
  constexpr u32 kIq2Xxs = 16;
  set("llama.embedding_length", u32{256});
  expect(R"("token_embd.weight": type IQ2_XXS cannot be read (F32, F16, BF16, Q8_0, Q4_0, Q4_1, )"
         "Q5_0, Q5_1, Q4_K, Q5_K, Q6_K, MXFP4 can)",
         {256, 256}, kIq2Xxs);
}

TEST_F(BadGgufModel, ItsTokenizerIsMissedByName) {
  const std::vector<std::byte> zeros(4);
  write_gguf(workshop_.path("model.gguf"), keys_, {{"t", {1}, 0, std::span(zeros)}});
  workshop_.expect_refused("tokenize --tokenizer model.gguf hi", kData,
                           R"(model.gguf: no key "tokenizer.ggml.model")");
}

}  // namespace
}  // namespace inlay
