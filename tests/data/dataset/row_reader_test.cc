// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/row_reader.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/io/atomic.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

/// "line:column text", a row each.
std::vector<std::string> rows_of(const std::string& content, const std::string& name = "a.jsonl",
                                 i64 max_row_bytes = kMaxRowBytes) {
  const TempDirectory directory;
  write_file(directory.file(name), content);
  const auto reader = open_rows(directory.file(name), max_row_bytes);
  std::vector<std::string> rows;
  while (const auto row = reader->next()) {
    rows.push_back(str(row->line, ":", row->column, " ", row->text));
  }
  EXPECT_FALSE(reader->next().has_value());
  return rows;
}

std::string error_of(const std::string& content, i64 max_row_bytes = kMaxRowBytes) {
  try {
    rows_of(content, "a.jsonl", max_row_bytes);
  } catch (const DataError& error) {
    const std::string sentence = error.what();
    return sentence.substr(sentence.find("a.jsonl"));
  }
  return "";
}

using Rows = std::vector<std::string>;

TEST(RowReader, CutsLinesAndCountsTheBlankOnes) {
  const struct {
    std::string content;
    Rows rows;
  } cases[] = {
      {"", {}},
      {"\n \t\n\r\n", {}},
      {"{}", {"1:1 {}"}},
      {"{}\n", {"1:1 {}"}},
      {"\n\n{}\n\n{\"a\":1}", {"3:1 {}", "5:1 {\"a\":1}"}},
      {"{}\r\n{}\r\n", {"1:1 {}", "2:1 {}"}},
      {"\xEF\xBB\xBF{}\n{}", {"1:1 {}", "2:1 {}"}},
      {"  {} \n", {"1:1   {} "}},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(rows_of(c.content), c.rows) << c.content;
  }
}

TEST(RowReader, TakesTheLinesOfATextFileForRowsWhateverTheyBeginWith) {
  EXPECT_EQ(rows_of("[one, two]\n\n two \r\n", "a.txt"), (Rows{"1:1 [one, two]", "3:1  two "}));
  const TempDirectory directory;
  write_file(directory.file("a.txt"), "a");
  EXPECT_TRUE(open_rows(directory.file("a.txt"))->is_plain_text());
  write_file(directory.file("a.json"), "a");
  EXPECT_FALSE(open_rows(directory.file("a.json"))->is_plain_text());
}

TEST(RowReader, CutsAnArrayIntoItsValues) {
  const struct {
    std::string content;
    Rows rows;
  } cases[] = {
      {"[]", {}},
      {" [ \n ] \n", {}},
      {"[{}]", {"1:2 {}"}},
      {"[\n  {\"a\": [1, 2]},\n  {\"b\": {\"c\": \"],}\"}}\n]\n",
       {"2:3 {\"a\": [1, 2]}", "3:3 {\"b\": {\"c\": \"],}\"}}\n"}},
      {R"(["a\"],", "\\", 3])", {R"(1:2 "a\"],")", R"(1:11 "\\")", "1:17 3"}},
      {"\xEF\xBB\xBF\n[{},{}]", {"2:2 {}", "2:5 {}"}},
      {"[{\n\n},{}]", {"1:2 {\n\n}", "3:3 {}"}},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(rows_of(c.content), c.rows) << c.content;
  }
}

TEST(RowReader, RefusesAnArrayThatIsNotOne) {
  const struct {
    std::string content;
    std::string error;
  } cases[] = {
      {"\n[", "a.jsonl: line 2: the array that begins here does not end"},
      {"[{},\n{}", "a.jsonl: line 1: the array that begins here does not end"},
      {"[{}, \"a]", "a.jsonl: line 1: the array that begins here does not end"},
      {"[{},\n]", "a.jsonl: line 2: a value of the array is missing before ']'"},
      {"[,{}]", "a.jsonl: line 1: a value of the array is missing before ','"},
      {"[{}}]", "a.jsonl: line 1: expected ',' or ']' behind a value of the array, found '}'"},
      {"[{}]\n\n{}", "a.jsonl: line 3: the array has ended, but the file goes on"},
      {"[]]", "a.jsonl: line 1: the array has ended, but the file goes on"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(error_of(c.content), c.error) << c.content;
  }
}

TEST(RowReader, RefusesARowOfTooManyBytes) {
  EXPECT_EQ(error_of("1234\n1234\n", 4), "");
  EXPECT_EQ(error_of("1234\n12345\n", 4), "a.jsonl: line 2: the row has more than 4 bytes");
  EXPECT_EQ(error_of("12345", 4), "a.jsonl: line 1: the row has more than 4 bytes");
  EXPECT_EQ(error_of("[1234,1234]", 4), "");
  EXPECT_EQ(error_of("[1234,\n12345]", 4), "a.jsonl: line 2: the row has more than 4 bytes");
  EXPECT_EQ(error_of("[[[[[[[[[[", 4), "a.jsonl: line 1: the row has more than 4 bytes");
}

TEST(RowReader, NamesAFileThatIsNotThere) {
  EXPECT_THROW(open_rows("no/such/file.jsonl"), IoError);
}

}  // namespace
}  // namespace inlay
