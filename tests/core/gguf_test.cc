// SPDX-License-Identifier: Apache-2.0
#include "core/io/gguf.h"

#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"
#include "tests/support/error_text.h"
#include "tests/support/faulty_file_system.h"
#include "tests/support/golden.h"
#include "tests/support/memory_file.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

std::string refusal_of(const std::string& content) {
  return error_text<Error>([&] { GgufFile file(memory_file("a.gguf", content)); });
}

template <class T>
std::vector<T> values_of(const GgufTensor& tensor) {
  std::vector<T> values(tensor.data.size() / sizeof(T));
  std::memcpy(values.data(), tensor.data.data(), tensor.data.size());
  return values;
}

/// A file built field by field, with whatever numbers a case wants.
class Bytes {
 public:
  template <class T>
  Bytes& add(T number) {
    text_.append(reinterpret_cast<const char*>(&number), sizeof number);
    return *this;
  }
  Bytes& word(u32 number) { return add(number); }
  Bytes& quad(u64 number) { return add(number); }
  Bytes& raw(const std::string& bytes) {
    text_ += bytes;
    return *this;
  }
  Bytes& string(const std::string& bytes) { return quad(bytes.size()).raw(bytes); }
  Bytes& zeros(i64 count) { return raw(std::string(count, '\0')); }
  Bytes& pad(i64 unit) {
    while (static_cast<i64>(text_.size()) % unit != 0) {
      text_ += '\0';
    }
    return *this;
  }
  const std::string& text() const { return text_; }

 private:
  std::string text_;
};

Bytes head(u64 tensors, u64 keys, u32 version = 3) {
  return Bytes().raw("GGUF").word(version).quad(tensors).quad(keys);
}

/// What a tensor's entry says; a case changes one of it.
struct Entry {
  std::string name = "t";
  std::vector<u64> dims = {4};
  u32 type = 0;
  u64 offset = 0;
};

std::string one_tensor(const Entry& entry, i64 data_bytes = 16) {
  Bytes bytes = head(1, 0);
  bytes.string(entry.name).word(static_cast<u32>(entry.dims.size()));
  for (const u64 dim : entry.dims) {
    bytes.quad(dim);
  }
  return bytes.word(entry.type).quad(entry.offset).pad(32).zeros(data_bytes).text();
}

TEST(Gguf, ReadsWhatGgufPyWrote) {
  const GgufFile file(golden("io/reference.gguf"));
  EXPECT_EQ(file.get_string("general.architecture"), "llama");
  EXPECT_EQ(file.get_int("v.u8"), 200);
  EXPECT_EQ(file.get_int("v.i8"), -5);
  EXPECT_EQ(file.get_int("v.u16"), 60'000);
  EXPECT_EQ(file.get_int("v.i16"), -300);
  EXPECT_EQ(file.get_int("v.u32"), 4'000'000'000);
  EXPECT_EQ(file.get_int("v.i32"), -70'000);
  EXPECT_EQ(file.get_int("v.i64"), -(i64{1} << 40));
  EXPECT_EQ(file.get_float("v.f32"), 1.5);
  EXPECT_EQ(file.get_float("v.f64"), 0.1);
  EXPECT_EQ(file.get_bool("v.bool"), true);
  EXPECT_EQ(file.get_string("v.string"), "h\u00e9llo");
  EXPECT_EQ(file.get_strings("a.strings"), (std::vector<std::string_view>{"a", "", "\u00e9 b"}));
  EXPECT_EQ(file.get_ints("a.ints"), (std::vector<i64>{1, -2, 3}));
  EXPECT_EQ(file.get_floats("a.floats"), (std::vector<float>{0.5F, 2.0F}));
  EXPECT_EQ(file.get_ints("a.bools"), (std::vector<i64>{1, 0}));

  ASSERT_EQ(file.tensors().size(), 4U);
  const GgufTensor& embedding = file.tensor("token_embd.weight");
  EXPECT_EQ(embedding.shape, (std::vector<i64>{3, 4}));
  EXPECT_EQ(embedding.type->name, "F32");
  EXPECT_EQ(values_of<float>(embedding)[11], 11.0F);
  EXPECT_EQ(file.tensor("half").shape, (std::vector<i64>{1, 2, 3}));
  EXPECT_EQ(file.tensor("q").type->name, "Q4_1");
  EXPECT_EQ(file.tensor("q").data.size(), 80U);
  EXPECT_EQ(values_of<i32>(file.tensor("i")), std::vector<i32>{7});
}

TEST(Gguf, WritesWhatGgufPyWrites) {
  const TempDirectory temp;
  const GgufFile file(golden("io/reference.gguf"));
  std::vector<GgufTensorToWrite> tensors;
  for (const GgufTensor& tensor : file.tensors()) {
    tensors.push_back({tensor.name, tensor.shape, tensor.type->id, tensor.data});
  }
  write_gguf(temp.file("a"), file.metadata(), tensors);
  EXPECT_TRUE(file_system().read(temp.file("a"), 10'000) ==
              file_system().read(golden("io/reference.gguf"), 10'000));
}

TEST(Gguf, WritesArraysAndAnAlignmentOfItsOwn) {
  const TempDirectory temp;
  const GgufMetadata metadata = {
      {"general.alignment", u32{64}},
      {"tokens", GgufArray::of(std::vector<std::string>{"<s>", "\n", ""})},
      {"types", GgufArray::of(std::vector<i32>{3, 6, -1})},
      {"scores", GgufArray::of(std::vector<float>{-1.5F})},
      {"none", GgufArray::of(std::vector<std::string>{})}};
  const std::vector<float> values = {1.0F, 2.0F, 3.0F};
  const ByteSource::Fill fill = [&](i64 offset, std::span<std::byte> out) {
    std::memcpy(out.data(), reinterpret_cast<const char*>(values.data()) + offset, out.size());
  };
  write_gguf(temp.file("a"), metadata,
             {{"x", {3, 1}, 0, fill},
              {"y", {}, 0, ByteSource(std::as_bytes(std::span(values).first(1)))}});
  const GgufFile file(temp.file("a"));
  EXPECT_EQ(file.get_strings("tokens"), (std::vector<std::string_view>{"<s>", "\n", ""}));
  EXPECT_EQ(file.get_ints("types"), (std::vector<i64>{3, 6, -1}));
  EXPECT_EQ(file.get_floats("scores"), (std::vector<float>{-1.5F}));
  EXPECT_TRUE(file.get_strings("none").empty());
  EXPECT_EQ(values_of<float>(file.tensor("x")), values);
  EXPECT_EQ(file.tensor("y").shape, std::vector<i64>{});
  const auto offset = file.tensor("y").data.data() - file.tensor("y").file->bytes().data();
  EXPECT_EQ(offset % 64, 0);
}

TEST(Gguf, RefusesToWriteWhatReadersRefuse) {
  FaultyFileSystem files("/memory");
  const ScopedFileSystem scope(files);
  const auto refusal = [](const GgufMetadata& metadata,
                          const std::vector<GgufTensorToWrite>& tensors) {
    return error_text<Error>([&] { write_gguf("/memory/a", metadata, tensors); });
  };
  EXPECT_EQ(refusal({{"", u32{1}}}, {}), "/memory/a: a key is empty");
  EXPECT_EQ(refusal({{"k", u32{1}}, {"k", u32{2}}}, {}), "/memory/a: \"k\": given twice");
  EXPECT_EQ(refusal({{"general.alignment", i32{32}}}, {}),
            "/memory/a: \"general.alignment\": expected a u32, found i32");
  EXPECT_EQ(refusal({}, {{"", {0}, 0, {}}}),
            "/memory/a: \"\": a tensor's name has 1 to 63 bytes, not 0");
  EXPECT_EQ(
      refusal({}, {{std::string(64, 'n'), {0}, 0, {}}}),
      "/memory/a: \"" + std::string(64, 'n') + "\": a tensor's name has 1 to 63 bytes, not 64");
  EXPECT_EQ(refusal({}, {{"t", {0}, 0, {}}, {"t", {0}, 0, {}}}),
            "/memory/a: \"t\": two tensors of this name");
  EXPECT_EQ(refusal({}, {{"t", {1, 1, 1, 1, 0}, 0, {}}}),
            "/memory/a: \"t\": 5 dimensions, more than the 4 allowed");
  EXPECT_EQ(refusal({}, {{"t", {33}, 2, {}}}),
            "/memory/a: \"t\": rows of 33 values are not whole Q4_0 blocks of 32");
  EXPECT_TRUE(files.list("/memory").empty());
}

TEST(Gguf, ReadsVersionTwoAndAVocabularyAlone) {
  const GgufFile file(memory_file("a.gguf", head(0, 1, 2).string("k").word(4).word(7).text()));
  EXPECT_EQ(file.get_int("k"), 7);
}

TEST(Gguf, KnowsTypesByNameThatItCannotDecode) {
  const GgufFile file(memory_file("a.gguf", one_tensor({.dims = {256}, .type = 16}, 66)));
  EXPECT_EQ(file.tensor("t").type->name, "IQ2_XXS");
  EXPECT_EQ(file.tensor("t").data.size(), 66U);
  for (u32 id = 0; id <= 42; ++id) {
    ASSERT_NE(find_gguf_type(id), nullptr);
    EXPECT_EQ(find_gguf_type(id)->id, id);
  }
  EXPECT_EQ(find_gguf_type(43), nullptr);
}

TEST(Gguf, AcceptsEmptyAndScalarTensorsAndAMissingLastPadding) {
  EXPECT_EQ(GgufFile(memory_file("a", one_tensor({.dims = {4, 0}}, 0))).tensor("t").shape,
            (std::vector<i64>{0, 4}));
  EXPECT_EQ(GgufFile(memory_file("a", one_tensor({.dims = {}}, 4))).tensor("t").data.size(), 4U);
  EXPECT_EQ(GgufFile(memory_file("a", one_tensor({}, 100))).tensor("t").data.size(), 16U);
}

TEST(Gguf, NamesTheKeyOrTensorNearestToAMissingOne) {
  const GgufFile file(golden("io/reference.gguf"));
  const std::string path = golden("io/reference.gguf");
  EXPECT_EQ(error_text<Error>([&] { file.get_int("v.u33"); }),
            path + ": no key \"v.u33\" (did you mean \"v.u32\"?)");
  EXPECT_EQ(error_text<Error>([&] { static_cast<void>(file.tensor("token_embed.weight")); }),
            path + ": no tensor \"token_embed.weight\" (did you mean \"token_embd.weight\"?)");
  EXPECT_EQ(file.find("v.u33"), nullptr);
  EXPECT_EQ(file.find_tensor("x"), nullptr);
  EXPECT_EQ(file.find_int("none"), std::nullopt);
  EXPECT_EQ(file.find_float("none"), std::nullopt);
  EXPECT_EQ(file.find_bool("none"), std::nullopt);
  EXPECT_EQ(file.find_string("none"), std::nullopt);
  EXPECT_EQ(file.find_strings("none"), std::nullopt);
  EXPECT_EQ(file.find_ints("none"), std::nullopt);
  EXPECT_EQ(file.find_floats("none"), std::nullopt);
}

TEST(Gguf, SaysWhichTypeWasExpected) {
  const GgufFile file(golden("io/reference.gguf"));
  const std::string path = golden("io/reference.gguf") + ": ";
  const struct {
    std::function<void()> action;
    std::string error;
  } cases[] = {
      {[&] { file.get_int("v.string"); },
       "\"v.string\": expected a whole number below 2^63, found a string"},
      {[&] { file.get_int("v.u64"); },
       "\"v.u64\": expected a whole number below 2^63, found a u64"},
      {[&] { file.get_int("v.bool"); },
       "\"v.bool\": expected a whole number below 2^63, found a bool"},
      {[&] { file.get_float("v.u8"); }, "\"v.u8\": expected a float, found a u8"},
      {[&] { file.get_bool("v.u8"); }, "\"v.u8\": expected a bool, found a u8"},
      {[&] { file.get_string("a.ints"); }, "\"a.ints\": expected a string, found an array of i32"},
      {[&] { file.get_strings("v.string"); },
       "\"v.string\": expected an array of strings, found a string"},
      {[&] { file.get_strings("a.ints"); },
       "\"a.ints\": expected an array of strings, found an array of i32"},
      {[&] { file.get_ints("a.floats"); },
       "\"a.floats\": expected an array of whole numbers below 2^63, found an array of f32"},
      {[&] { file.get_floats("a.ints"); },
       "\"a.ints\": expected an array of floats, found an array of i32"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(error_text<Error>(c.action), path + c.error);
  }
}

TEST(Gguf, ReadsArraysOfEveryNumber) {
  Bytes bytes = head(0, 8);
  bytes.string("u8").word(9).word(0).quad(1).add(u8{200});
  bytes.string("i8").word(9).word(1).quad(1).add(i8{-3});
  bytes.string("u16").word(9).word(2).quad(1).add(u16{60'000});
  bytes.string("i16").word(9).word(3).quad(1).add(i16{-3});
  bytes.string("u32").word(9).word(4).quad(1).word(4'000'000'000);
  bytes.string("u64").word(9).word(10).quad(1).quad(1ULL << 63);
  bytes.string("i64").word(9).word(11).quad(1).add(i64{-3});
  bytes.string("f64").word(9).word(12).quad(1).add(0.5);
  const GgufFile file(memory_file("a", bytes.text()));
  EXPECT_EQ(file.get_ints("u8"), std::vector<i64>{200});
  EXPECT_EQ(file.get_ints("i8"), std::vector<i64>{-3});
  EXPECT_EQ(file.get_ints("u16"), std::vector<i64>{60'000});
  EXPECT_EQ(file.get_ints("i16"), std::vector<i64>{-3});
  EXPECT_EQ(file.get_ints("u32"), std::vector<i64>{4'000'000'000});
  EXPECT_EQ(file.get_ints("i64"), std::vector<i64>{-3});
  EXPECT_EQ(file.get_floats("f64"), std::vector<float>{0.5F});
  EXPECT_EQ(error_text<Error>([&] { file.get_ints("u64"); }),
            "a: \"u64\": expected an array of whole numbers below 2^63, found an array of u64");
}

/// A key whose value is an array in an array in an array …
std::string nested_array(int levels) {
  Bytes bytes = head(0, 1);
  bytes.string("k").word(9);
  for (int level = 0; level < levels; ++level) {
    bytes.word(9).quad(1);
  }
  return bytes.word(4).quad(1).word(7).zeros(20).text();
}

TEST(Gguf, StepsOverWhatNobodyAsksFor) {
  Bytes bytes = head(0, 3);
  bytes.string("deep").word(9).word(9).quad(2);
  bytes.word(8).quad(2).string("a").string("bc");  // strings
  bytes.word(10).quad(1).quad(u64{1} << 63);       // u64
  bytes.string("long").word(9).word(7).quad(100'000).zeros(100'000);
  bytes.string("next").word(4).word(5);
  const GgufFile file(memory_file("a.gguf", bytes.text()));
  EXPECT_EQ(file.get_int("next"), 5);
  EXPECT_EQ(std::get<GgufArray>(*file.find("deep")).count, 2);
  EXPECT_EQ(std::get<GgufArray>(*file.find("long")).count, 100'000);
  EXPECT_EQ(error_text<DataError>([&] { static_cast<void>(file.find_strings("deep")); }),
            "a.gguf: \"deep\": expected an array of strings, found an array of array");
  EXPECT_EQ(refusal_of(nested_array(7)), "no error");
}

/// A model of four tensors in three files, as llama.cpp's gguf-split writes them.
class SplitGguf : public ::testing::Test {
 protected:
  SplitGguf() {
    write(1, {"a", "b"});
    write(2, {"c"});
    write(3, {"d"});
  }
  std::string part(int number) const { return temp_.file(str("m-0000", number, "-of-00003.gguf")); }
  void write(int number, const std::vector<std::string>& names, u16 says = 0) const {
    GgufMetadata keys = {{"split.no", static_cast<u16>(says != 0 ? says - 1 : number - 1)},
                         {"split.count", u16{3}},
                         {"split.tensors.count", i32{4}}};
    if (number == 1) {
      keys.emplace_back("general.architecture", std::string("llama"));
    }
    static constexpr std::array<float, 2> kValues = {1.0F, 2.0F};
    std::vector<GgufTensorToWrite> tensors;
    for (const std::string& name : names) {
      tensors.push_back({name, {2}, 0, std::as_bytes(std::span<const float>(kValues))});
    }
    write_gguf(part(number), keys, tensors);
  }
  std::string refusal(int number) const {
    const std::string text = error_text<DataError>([&] { GgufFile::with_all_parts(part(number)); });
    return text.starts_with(temp_.path()) ? text.substr(temp_.path().size() + 1) : text;
  }

  TempDirectory temp_;
};

TEST_F(SplitGguf, IsReadWholeFromItsFirstPart) {
  const GgufFile file = GgufFile::with_all_parts(part(1));
  EXPECT_EQ(file.parts(), (std::vector<std::string>{part(1), part(2), part(3)}));
  EXPECT_EQ(file.get_string("general.architecture"), "llama");
  for (const char* name : {"a", "b", "c", "d"}) {
    EXPECT_EQ(values_of<float>(file.tensor(name)), (std::vector<float>{1.0F, 2.0F})) << name;
  }
  EXPECT_EQ(file.tensor("d").file->path(), part(3));
  // One file alone is one part.
  const std::string whole = golden("io/reference.gguf");
  EXPECT_EQ(GgufFile::with_all_parts(whole).parts(), std::vector<std::string>{whole});
}

TEST_F(SplitGguf, APartAloneIsNamedAsOne) {
  EXPECT_EQ(refusal(2),
            "m-00002-of-00003.gguf: part 2 of a model split into 3 files; give the first, "
            "m-00001-of-00003.gguf");
  file_system().remove(part(3));
  EXPECT_EQ(refusal(1),
            "m-00001-of-00003.gguf: the first of 3 files of a split model, and "
            "m-00003-of-00003.gguf is not beside it");
  file_system().rename(part(1), temp_.file("renamed.gguf"));
  EXPECT_EQ(error_text<DataError>([&] { GgufFile::with_all_parts(temp_.file("renamed.gguf")); }),
            temp_.file("renamed.gguf") +
                ": part 1 of a model split into 3 files, whose name should end in "
                "-00001-of-00003.gguf for the others to be found");
}

TEST_F(SplitGguf, PartsMustBelongTogether) {
  write(2, {"c"}, 3);
  EXPECT_EQ(refusal(1),
            "m-00002-of-00003.gguf: expected part 2 of 3 by its \"split.no\" and \"split.count\"");
  write(2, {"a"});
  EXPECT_EQ(refusal(1),
            "m-00002-of-00003.gguf: \"a\": another part of the model has a tensor of this name");
  write(2, {"c", "e"});
  EXPECT_EQ(refusal(1),
            "m-00001-of-00003.gguf: \"split.tensors.count\": 4, but its 3 files hold 5");
}

TEST(Gguf, RefusesEveryMalformedFileWithItsSentence) {
  constexpr u64 kHuge = std::numeric_limits<u64>::max();
  const struct {
    std::string content;
    std::string error;
  } cases[] = {
      {"", "not a GGUF file: begins with \"\""},
      {"GGU", "not a GGUF file: begins with \"GGU\""},
      {"PK\x03\x04 and more", "not a GGUF file: begins with \"PK\\x03\\x04\""},
      {"GGUF\x03", "cut short: the version takes 4 bytes at byte 4, and 1 are left"},
      {head(0, 0, 1).text(), "GGUF version 1; versions 2 and 3 are read, convert the model again"},
      {head(0, 0, 4).text(), "GGUF version 4; versions 2 and 3 are read"},
      {head(0, 0, 0x03000000).text(), "a big-endian GGUF file; convert it to little-endian"},
      {Bytes().raw("GGUF").word(3).quad(0).text(),
       "cut short: the number of keys takes 8 bytes at byte 16, and 0 are left"},
      {head(0, kHuge).text(), "18446744073709551615 keys cannot fit in the 0 bytes left"},
      {head(0, 2).zeros(25).text(), "2 keys cannot fit in the 25 bytes left"},
      {head(0, 100'001).zeros(i64{13} * 100'001).text(),
       "100001 keys, more than the 100000 supported"},
      {head(u64{1} << 63, 0).zeros(100).text(),
       "9223372036854775808 tensors cannot fit in the 100 bytes left"},
      {head(100'001, 0).zeros(i64{24} * 100'001).text(),
       "100001 tensors, more than the 100000 supported"},
      {head(0, 1).quad(kHuge).zeros(20).text(),
       "cut short: key 0 takes 18446744073709551615 bytes at byte 32, and 20 are left"},
      {head(0, 1).string("").zeros(20).text(), "key 0 is empty"},
      {head(0, 1).string(std::string(65'536, 'k')).zeros(20).text(),
       "key 0 has 65536 bytes, more than the 65535 allowed"},
      {head(0, 2).string("k").word(4).word(1).string("k").word(4).word(1).text(),
       "\"k\": given twice"},
      {head(0, 1).string("k").word(13).zeros(20).text(), "\"k\": unknown value type 13"},
      {head(0, 1).string("kkkkk").word(10).word(0).text(),
       "cut short: \"kkkkk\" takes 8 bytes at byte 41, and 4 are left"},
      {head(0, 1).string("k").word(8).quad(u64{1} << 63).text(),
       "cut short: \"k\" takes 9223372036854775808 bytes at byte 45, and 0 are left"},
      {nested_array(10), "\"k\": arrays are nested more than 8 levels deep"},
      {head(0, 1).string("k").word(9).word(9).quad(1).word(99).zeros(20).text(),
       "\"k\": unknown value type 99"},
      {head(0, 1).string("k").word(9).word(9).quad(9).zeros(20).text(),
       "\"k\": 9 elements of type array cannot fit in the 20 bytes left"},
      {head(0, 1).string("k").word(9).word(99).zeros(20).text(), "\"k\": unknown value type 99"},
      {head(0, 1).string("k").word(9).word(10).quad(u64{1} << 61).zeros(20).text(),
       "\"k\": 2305843009213693952 elements of type u64 cannot fit in the 20 bytes left"},
      {head(0, 1).string("k").word(9).word(8).quad(3).zeros(20).text(),
       "\"k\": 3 elements of type string cannot fit in the 20 bytes left"},
      {head(0, 1).string("k").word(9).word(8).quad(2).quad(5).zeros(8).text(),
       "cut short: \"k\" takes 8 bytes at byte 62, and 3 are left"},
      {head(0, 1).string("general.alignment").word(5).word(32).text(),
       "\"general.alignment\": expected a u32, found i32"},
      {head(0, 1).string("general.alignment").word(4).word(24).text(),
       "\"general.alignment\": 24 is not a power of two"},
      {head(0, 1).string("general.alignment").word(4).word(0).text(),
       "\"general.alignment\": 0 is not a power of two"},
      {one_tensor({.name = ""}), "tensor 0 has no name"},
      {one_tensor({.name = std::string(64, 't')}),
       "\"" + std::string(64, 't') + "\": a name of 64 bytes, more than the 63 allowed"},
      {head(2, 0).string("t").word(0).word(0).quad(0).string("t").zeros(64).text(),
       "\"t\": two tensors of this name"},
      {one_tensor({.dims = {1, 1, 1, 1, 1}}), "\"t\": 5 dimensions, more than the 4 allowed"},
      {head(1, 0).string("t").word(0xFFFFFFFFU).zeros(64).text(),
       "\"t\": 4294967295 dimensions, more than the 4 allowed"},
      {one_tensor({.dims = {u64{1} << 63}}), "\"t\": a dimension is out of range"},
      {one_tensor({.dims = {u64{1} << 32, u64{1} << 32}}),
       "\"t\": the size of its shape overflows"},
      {one_tensor({.dims = {(u64{1} << 62) + 1}}), "\"t\": the size of its shape overflows"},
      {one_tensor({.type = 43}), "\"t\": unknown tensor type 43"},
      {one_tensor({.type = 31}),
       "\"t\": tensor type Q4_0_4_4 is retired, no current program reads it; convert the model "
       "again"},
      {one_tensor({.dims = {100}, .type = 12}),
       "\"t\": rows of 100 values are not whole Q4_K blocks of 256"},
      {one_tensor({.offset = 16}),
       "\"t\": its data is at offset 16 instead of 0: tensors follow one another, each padded to "
       "32 bytes"},
      {one_tensor({.offset = kHuge}),
       "\"t\": its data is at offset 18446744073709551615 instead of 0: tensors follow one "
       "another, each padded to 32 bytes"},
      {one_tensor({.dims = {u64{1} << 60, 2}, .type = 24}, 0),
       "\"t\": cut short: its data ends at byte 2305843009213694048 of the file, which has 96"},
      {one_tensor({.dims = {(u64{1} << 63) - 1}, .type = 24}, 0),
       "\"t\": the end of its data overflows"},
      {one_tensor({.dims = {(u64{1} << 63) - 32}, .type = 24}, 0),
       "\"t\": the end of its data overflows"},
      {one_tensor({}, 15), "\"t\": cut short: its data ends at byte 80 of the file, which has 79"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(refusal_of(c.content), "a.gguf: " + c.error);
  }
}

TEST(Gguf, ChecksEveryOffsetAgainstTheSizesBeforeIt) {
  const auto two = [](u64 offset) {
    return refusal_of(head(2, 0)
                          .string("a")
                          .word(1)
                          .quad(5)
                          .word(0)
                          .quad(0)
                          .string("b")
                          .word(1)
                          .quad(1)
                          .word(0)
                          .quad(offset)
                          .pad(32)
                          .zeros(64)
                          .text());
  };
  EXPECT_EQ(two(32), "no error");
  for (const u64 offset : {u64{0}, u64{20}, u64{64}}) {
    EXPECT_EQ(two(offset), str("a.gguf: \"b\": its data is at offset ", offset,
                               " instead of 32: tensors follow one another, each padded to 32 "
                               "bytes"));
  }
}

}  // namespace
}  // namespace inlay
