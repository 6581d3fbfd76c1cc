// SPDX-License-Identifier: Apache-2.0
#include "core/io/safetensors.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <functional>
#include <numeric>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/io/atomic.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/golden.h"
#include "tests/support/memory_file.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

std::string error_of(const std::function<void()>& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

std::string length_bytes(u64 length) {
  std::string bytes(8, '\0');
  std::memcpy(bytes.data(), &length, 8);
  return bytes;
}

/// A file of this header and so many bytes of data.
std::string file_of(const std::string& header, i64 data_bytes = 0) {
  return length_bytes(header.size()) + header + std::string(data_bytes, 'd');
}

std::string refusal_of(const std::string& content) {
  return error_of([&] { SafetensorsFile file(memory_file("a.st", content)); });
}

template <class T>
std::vector<T> values_of(const TensorEntry& entry) {
  std::vector<T> values(entry.data.size() / sizeof(T));
  if (!values.empty()) {
    std::memcpy(values.data(), entry.data.data(), entry.data.size());
  }
  return values;
}

TEST(Safetensors, ReadsTheReferenceImplementation) {
  const SafetensorsFile file(golden("io/reference.safetensors"));
  EXPECT_EQ(file.metadata(), (std::map<std::string, std::string>{{"format", "pt"}}));
  ASSERT_EQ(file.entries().size(), 13U);
  EXPECT_EQ(file.entries()[0].name, "layer.9.weight");
  const struct {
    const char* name;
    DType dtype;
    i64 bytes;
  } cases[] = {{"layer.0.weight", DType::kBool, 6}, {"layer.1.weight", DType::kU8, 6},
               {"layer.2.weight", DType::kI8, 6},   {"layer.3.weight", DType::kI16, 12},
               {"layer.4.weight", DType::kF16, 12}, {"layer.5.weight", DType::kBf16, 12},
               {"layer.6.weight", DType::kI32, 24}, {"layer.7.weight", DType::kF32, 24},
               {"layer.8.weight", DType::kF64, 48}, {"layer.9.weight", DType::kI64, 48}};
  for (const auto& c : cases) {
    const TensorEntry& entry = file.at(c.name);
    EXPECT_EQ(entry.dtype, c.dtype);
    EXPECT_EQ(entry.shape, (std::vector<i64>{3, 2}));
    EXPECT_EQ(static_cast<i64>(entry.data.size()), c.bytes);
    EXPECT_EQ(entry.stored_dtype, safetensors_name(c.dtype));
  }
  EXPECT_EQ(values_of<float>(file.at("b.scalar")), std::vector<float>{1.5F});
  EXPECT_EQ(file.at("b.scalar").shape, std::vector<i64>{});
  EXPECT_EQ(file.at("a.empty").shape, (std::vector<i64>{0, 4}));
  EXPECT_EQ(values_of<u8>(file.at("odd \"name\" \\ \u00e9\n")), (std::vector<u8>{0, 1, 2, 3, 4}));
}

TEST(Safetensors, WritesWhatTheReferenceImplementationWrites) {
  const TempDirectory temp;
  const SafetensorsFile file(golden("io/reference.safetensors"));
  std::vector<TensorToWrite> tensors;
  for (const TensorEntry& entry : file.entries()) {
    tensors.insert(tensors.begin(), {entry.name, *entry.dtype, entry.shape, entry.data});
  }
  write_safetensors(temp.file("a"), tensors);
  EXPECT_TRUE(file_system().read(temp.file("a"), 10'000) ==
              file_system().read(golden("io/reference.safetensors"), 10'000));
}

TEST(Safetensors, FillsLargeTensorsPieceByPiece) {
  const TempDirectory temp;
  const i64 count = 2'500'000;  // 10 MB: two whole pieces and a short one
  std::vector<i64> offsets;
  const ByteSource::Fill fill = [&](i64 offset, std::span<std::byte> out) {
    offsets.push_back(offset);
    std::vector<u32> values(out.size() / 4);
    std::iota(values.begin(), values.end(), static_cast<u32>(offset / 4));
    std::memcpy(out.data(), values.data(), out.size());
  };
  write_safetensors(temp.file("a"), {{"x", DType::kI32, {count}, fill}});
  std::vector<u32> expected(count);
  std::iota(expected.begin(), expected.end(), 0U);
  EXPECT_TRUE(values_of<u32>(SafetensorsFile(temp.file("a")).at("x")) == expected);
  EXPECT_EQ(offsets, (std::vector<i64>{0, 4 << 20, 8 << 20}));
}

TEST(Safetensors, WritesAFileWithoutTensors) {
  const TempDirectory temp;
  write_safetensors(temp.file("a"), {}, {});
  EXPECT_EQ(file_system().read(temp.file("a"), 100), length_bytes(8) + "{}      ");
  EXPECT_TRUE(SafetensorsFile(temp.file("a")).entries().empty());
}

TEST(Safetensors, RefusesToWriteNamesThatReadersRefuse) {
  FaultyFileSystem files("/memory");
  const ScopedFileSystem scope(files);
  const auto refusal = [](const std::vector<std::string>& names) {
    return error_of([&] {
      std::vector<TensorToWrite> tensors;
      tensors.reserve(names.size());
      for (const std::string& name : names) {
        tensors.push_back({name, DType::kF32, {0}, {}});
      }
      write_safetensors("/memory/a.st", tensors);
    });
  };
  EXPECT_EQ(refusal({"a", "b", "a"}), "/memory/a.st: two tensors are named \"a\"");
  EXPECT_EQ(refusal({"__metadata__"}), "/memory/a.st: no tensor may be named __metadata__");
  EXPECT_EQ(refusal({"\xff"}), "/memory/a.st: a name or a metadata text is not UTF-8");
  EXPECT_TRUE(files.list("/memory").empty());
}

TEST(Safetensors, NeedsNoAlignmentAndNoOrderOfTheHeader) {
  const std::string header = R"({"b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]},)"
                             R"("a":{"shape":[1],"data_offsets":[0,1],"dtype":"U8","more":1}} )";
  const SafetensorsFile file(memory_file("a.st", file_of(header, 5)));
  EXPECT_EQ(file.entries()[0].name, "a");
  EXPECT_EQ(values_of<u8>(file.at("b")), std::vector<u8>(4, 'd'));
}

TEST(Safetensors, AnEntryKeepsItsFileMapped) {
  TensorEntry entry;
  {
    const SafetensorsFile file(golden("io/reference.safetensors"));
    entry = file.at("b.scalar");
  }
  EXPECT_EQ(values_of<float>(entry), std::vector<float>{1.5F});
}

TEST(Safetensors, NamesTheTensorNearestToAMissingOne) {
  const SafetensorsFile file(golden("io/reference.safetensors"));
  EXPECT_EQ(file.find("b.scalr"), nullptr);
  const std::string error = error_of([&] { static_cast<void>(file.at("b.scalr")); });
  EXPECT_EQ(error, golden("io/reference.safetensors") +
                       ": no tensor \"b.scalr\" (did you mean \"b.scalar\"?)");
}

TEST(Safetensors, ListsTypesItCannotComputeWith) {
  const std::string header = R"({"a":{"dtype":"F8_E4M3","shape":[3],"data_offsets":[0,3]},)"
                             R"("b":{"dtype":"F4","shape":[2,3],"data_offsets":[3,6]},)"
                             R"("c":{"dtype":"C64","shape":[],"data_offsets":[6,14]}})";
  const SafetensorsFile file(memory_file("a.st", file_of(header, 14)));
  EXPECT_EQ(file.entries()[1].stored_dtype, "F4");
  EXPECT_EQ(file.entries()[1].dtype, std::nullopt);
  EXPECT_NE(file.find("a"), nullptr);
  EXPECT_EQ(error_of([&] { static_cast<void>(file.at("a")); }),
            "a.st: \"a\": dtype F8_E4M3 is not supported");
}

/// A header of one tensor "x" with these fields.
std::string one(const std::string& dtype, const std::string& shape, const std::string& offsets) {
  return R"({"x":{"dtype":)" + dtype + R"(,"shape":)" + shape + R"(,"data_offsets":)" + offsets +
         "}}";
}

TEST(Safetensors, RefusesEveryMalformedFileWithItsSentence) {
  const std::string f32 = "\"F32\"";
  const struct {
    std::string content;
    std::string error;
  } cases[] = {
      {"", "not a safetensors file: 0 bytes, fewer than the 8 of the header's length"},
      {"1234567", "not a safetensors file: 7 bytes, fewer than the 8 of the header's length"},
      {length_bytes(100'000'001) + "{}",
       "not a safetensors file: a header of 100000001 bytes, more than the 100000000 allowed"},
      {length_bytes(~0ULL) + "{}",
       "not a safetensors file: a header of 18446744073709551615 bytes, more than the 100000000 "
       "allowed"},
      {length_bytes(3) + "{}", "cut short: the header takes 3 bytes, and 2 follow"},
      {length_bytes(0), "not a safetensors file: the header does not begin with {"},
      {file_of(" {}"), "not a safetensors file: the header does not begin with {"},
      {file_of("[]"), "not a safetensors file: the header does not begin with {"},
      {file_of("{\"\xff\": 1}"),
       "header: line 1, column 3: syntax error while parsing object key - invalid string: "
       "ill-formed UTF-8 byte"},
      {file_of("{"),
       "header: line 1, column 2: syntax error while parsing object key - unexpected end of input; "
       "expected string literal"},
      {file_of("{} x"),
       "header: line 1, column 4: syntax error while parsing value - invalid literal; last read: "
       "'{} x'; expected end of input"},
      {file_of(R"({"x":{},"x":{}})"),
       "header: line 1, column 9: key \"x\" is given twice in one object"},
      {file_of(one(f32, "[[[]]]", "[0,4]")),
       "header: line 1, column 30: arrays and objects are nested more than 3 levels deep"},
      {file_of(R"({"__metadata__":3})"), "__metadata__: expected an object of strings, found 3"},
      {file_of(R"({"__metadata__":{"k":[1]}})"),
       "__metadata__: \"k\": expected a string, found an array"},
      {file_of("{\"" + std::string(1025, 'n') + "\":{}}"),
       "\"" + std::string(80, 'n') + "...\": a name of 1025 bytes, more than the 1024 supported"},
      {file_of(R"({"x":[]})"),
       "\"x\": expected an object with dtype, shape and data_offsets, found an array"},
      {file_of(R"({"x":{"shape":[],"data_offsets":[0,4]}})"), "\"x\": no \"dtype\""},
      {file_of(R"({"x":{"dtype":"F32","data_offsets":[0,4]}})"), "\"x\": no \"shape\""},
      {file_of(R"({"x":{"dtype":"F32","shape":[]}})"), "\"x\": no \"data_offsets\""},
      {file_of(one("3", "[]", "[0,4]")), "\"x\": dtype: expected a string, found 3"},
      {file_of(one("\"BF17\"", "[]", "[0,4]")),
       "\"x\": unknown dtype \"BF17\" (did you mean \"BF16\"?)"},
      {file_of(one("\"float\"", "[]", "[0,4]")), "\"x\": unknown dtype \"float\""},
      {file_of(one(f32, "3", "[0,4]")),
       "\"x\": shape: expected an array of whole numbers, found 3"},
      {file_of(one(f32, "[-1]", "[0,4]")), "\"x\": shape: expected whole numbers from 0, found -1"},
      {file_of(one(f32, "[1.0]", "[0,4]")),
       "\"x\": shape: expected whole numbers from 0, found 1.0"},
      {file_of(one(f32, "[18446744073709551616]", "[0,4]")),
       "\"x\": shape: expected whole numbers from 0, found 1.8446744073709552e+19"},
      {file_of(one(f32, "[9223372036854775808]", "[0,4]")), "\"x\": shape is out of range"},
      {file_of(one(f32, "[1]", "[0,18446744073709551615]")), "\"x\": data_offsets is out of range"},
      {file_of(one(f32, "[1]", "[0]")),
       "\"x\": data_offsets: expected [begin, end], found 1 numbers"},
      {file_of(one(f32, "[1]", "\"0,4\"")),
       "\"x\": data_offsets: expected an array of whole numbers, found \"0,4\""},
      {file_of(one(f32, "[1]", "[4,8]"), 8),
       "\"x\": begins at byte 4 of the data instead of 0: bytes between the tensors"},
      {file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
               R"("b":{"dtype":"U8","shape":[2],"data_offsets":[3,5]}})",
               5),
       "\"b\": begins at byte 3 of the data instead of 4: tensors overlap"},
      {file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
               R"("b":{"dtype":"U8","shape":[2],"data_offsets":[5,7]}})",
               7),
       "\"b\": begins at byte 5 of the data instead of 4: bytes between the tensors"},
      {file_of(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)"
               R"("b":{"dtype":"U8","shape":[2],"data_offsets":[4,2]}})",
               4),
       "\"b\": ends at byte 2 of the data, before it begins at 4"},
      {file_of(one(f32, "[4294967296,4294967296]", "[0,0]")),
       "\"x\": the size of its shape overflows"},
      {file_of(one(f32, "[4611686018427387904]", "[0,0]")),
       "\"x\": the size of its shape overflows"},
      {file_of(one("\"F4\"", "[3]", "[0,1]"), 1),
       "\"x\": 12 bits of F4 are not a whole number of bytes"},
      {file_of(one(f32, "[2]", "[0,4]"), 4),
       "\"x\": its shape needs 8 bytes, its data_offsets hold 4"},
      {file_of(one(f32, "[0]", "[0,4]"), 4),
       "\"x\": its shape needs 0 bytes, its data_offsets hold 4"},
      {file_of(one(f32, "[1]", "[0,4]"), 3),
       "cut short: the tensors take 4 bytes, and 3 follow the header"},
      {file_of(one(f32, "[1]", "[0,4]"), 5),
       "bytes behind the last tensor: the tensors take 4 bytes, and 5 follow the header"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(refusal_of(c.content), "a.st: " + c.error);
  }
}

TEST(Safetensors, BoundsTheNumberOfTensors) {
  std::string header = "{";
  for (i64 i = 0; i <= 100'000; ++i) {
    header +=
        str(i == 0 ? "" : ",", "\"", i, R"(":{"dtype":"U8","shape":[0],"data_offsets":[0,0]})");
  }
  EXPECT_EQ(refusal_of(file_of(header + "}")),
            "a.st: 100001 tensors, more than the 100000 supported");
}

// ---- Folders and shards

void write_shard(const std::string& path, const std::vector<std::string>& names) {
  static constexpr std::array<float, 2> kValues = {1.0F, 2.0F};
  std::vector<TensorToWrite> tensors;
  tensors.reserve(names.size());
  for (const std::string& name : names) {
    tensors.push_back({name, DType::kF32, {2}, std::as_bytes(std::span<const float>(kValues))});
  }
  write_safetensors(path, tensors);
}

class SafetensorsFolder : public ::testing::Test {
 protected:
  SafetensorsFolder() : files_("/memory"), scope_(files_) {
    make_directories("/memory/model");
    write_shard(kFolder + "model-00001-of-00002.safetensors", {"c", "a"});
    write_shard(kFolder + "model-00002-of-00002.safetensors", {"b", "spare"});
  }
  static void write_index(const std::string& weight_map) {
    write_file(kFolder + "model.safetensors.index.json",
               R"({"metadata": {"total_size": 1}, "weight_map": )" + weight_map + "}");
  }
  static std::string refusal() {
    return error_of([] { SafetensorsModel model("/memory/model"); });
  }

  inline static const std::string kFolder = "/memory/model/";
  inline static const std::string kIndex = "/memory/model/model.safetensors.index.json: ";
  FaultyFileSystem files_;
  ScopedFileSystem scope_;
};

TEST_F(SafetensorsFolder, JoinsTheShardsOfAnIndex) {
  write_index(R"({"a": "model-00001-of-00002.safetensors",
                  "b": "model-00002-of-00002.safetensors",
                  "c": "model-00001-of-00002.safetensors"})");
  const SafetensorsModel model("/memory/model");
  ASSERT_EQ(model.entries().size(), 4U);  // what the index leaves out is there all the same
  EXPECT_EQ(model.entries()[0]->name, "a");
  EXPECT_EQ(values_of<float>(model.at("b")), (std::vector<float>{1.0F, 2.0F}));
  EXPECT_NE(model.find("spare"), nullptr);
  EXPECT_EQ(model.files().size(), 2U);
  EXPECT_EQ(error_of([&] { static_cast<void>(model.at("d")); }),
            "/memory/model: no tensor \"d\" (did you mean \"a\"?)");
}

TEST_F(SafetensorsFolder, PrefersTheSingleFileToTheIndexToPickle) {
  write_file(kFolder + "pytorch_model.bin", "pickle");
  EXPECT_EQ(refusal(),
            "/memory/model/pytorch_model.bin: a pickle file, which can run any code when it is "
            "read; save the model as safetensors (save_pretrained does so) and use that");
  write_index(R"({"a": "model-00001-of-00002.safetensors"})");
  EXPECT_NE(SafetensorsModel("/memory/model").find("a"), nullptr);
  write_shard(kFolder + "model.safetensors", {"single"});
  EXPECT_NE(SafetensorsModel("/memory/model").find("single"), nullptr);
  EXPECT_NE(SafetensorsModel(kFolder + "model.safetensors").find("single"), nullptr);
  EXPECT_NE(SafetensorsModel(kFolder + "model.safetensors.index.json").find("a"), nullptr);
  write_shard(kFolder + "adapter_model.safetensors", {"adapter"});
  EXPECT_NE(SafetensorsModel("/memory/model", "adapter_model").find("adapter"), nullptr);
}

TEST_F(SafetensorsFolder, RefusesWhatIsNoModel) {
  EXPECT_EQ(refusal(),
            "/memory/model: neither model.safetensors nor model.safetensors.index.json is there");
  write_file(kFolder + "x.bin", "pickle");
  EXPECT_EQ(error_of([] { SafetensorsModel model(kFolder + "x.bin"); }),
            "/memory/model/x.bin: a pickle file, which can run any code when it is read; use "
            "safetensors");
  EXPECT_EQ(error_of([] { SafetensorsModel model("/memory/none"); }),
            "/memory/none: cannot open: no such file or directory");
}

TEST_F(SafetensorsFolder, ChecksTheIndex) {
  const struct {
    std::string weight_map;
    std::string error;
  } cases[] = {
      {"[]", "/weight_map: expected an object of tensor names and file names"},
      {R"({"a": 3})",
       "/weight_map: \"a\": expected the name of a file in the same folder, found number"},
      {R"({"a": "../model/model-00001-of-00002.safetensors"})",
       "/weight_map: \"a\": expected the name of a file in the same folder, found "
       "\"../model/model-00001-of-00002.safetensors\""},
      {R"({"a": ".."})",
       "/weight_map: \"a\": expected the name of a file in the same folder, found \"..\""},
      {R"({"a": "model-00003-of-00002.safetensors"})",
       "/weight_map: \"a\": no file model-00003-of-00002.safetensors in the folder"},
  };
  for (const auto& c : cases) {
    write_index(c.weight_map);
    EXPECT_EQ(refusal(), kIndex + c.error);
  }
}

TEST_F(SafetensorsFolder, AnIndexMayBeWrongWhereNobodyAsks) {
  write_index(R"({"a": "model-00002-of-00002.safetensors",
                  "b": "model-00001-of-00002.safetensors",
                  "head": "model-00001-of-00002.safetensors"})");
  const SafetensorsModel model("/memory/model");
  EXPECT_EQ(values_of<float>(model.at("a")).size(), 2U);
  EXPECT_EQ(values_of<float>(model.at("b")), (std::vector<float>{1.0F, 2.0F}));
  EXPECT_EQ(model.find("head"), nullptr);
  EXPECT_EQ(error_of([&] { static_cast<void>(model.at("head")); }),
            "/memory/model: the index has \"head\" in model-00001-of-00002.safetensors, which does "
            "not hold it");
}

TEST_F(SafetensorsFolder, ATensorInTwoShardsMustBeTheSame) {
  write_index(R"({"a": "model-00001-of-00002.safetensors",
                  "b": "model-00002-of-00002.safetensors"})");
  write_shard(kFolder + "model-00002-of-00002.safetensors", {"a", "b"});
  EXPECT_EQ(SafetensorsModel("/memory/model").entries().size(), 3U);
  const std::vector<float> other = {3.0F, 4.0F};
  write_safetensors(kFolder + "model-00002-of-00002.safetensors",
                    {{"a", DType::kF32, {2}, std::as_bytes(std::span(other))}});
  EXPECT_EQ(refusal(),
            "/memory/model/model-00002-of-00002.safetensors: \"a\" is in "
            "model-00001-of-00002.safetensors too, with other values");
}

}  // namespace
}  // namespace inlay
