// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/foreign_file.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/io/atomic.h"
#include "data/dataset/row_reader.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

using namespace std::string_literals;

/// ASCII in another encoding: each character is `width` bytes, its own at place `at`.
std::string widened(std::string_view text, int width, int at) {
  std::string wide;
  for (const char c : text) {
    std::string unit(static_cast<std::size_t>(width), '\0');
    unit[static_cast<std::size_t>(at)] = c;
    wide += unit;
  }
  return wide;
}

std::string open_error(const std::string& content, const std::string& name = "a.jsonl") {
  const TempDirectory directory;
  write_file(directory.file(name), content);
  try {
    open_rows(directory.file(name));
  } catch (const DataError& error) {
    const std::string sentence = error.what();
    return sentence.substr(sentence.find(name) + name.size() + 2);
  }
  return "";
}

TEST(ForeignFile, IsNamedWithWhatToDo) {
  const std::string row = "{\"text\": \"ab\"}\n";
  const std::string table =
      ": write its rows as JSON lines first, as Dataset.to_json of Python's datasets does";
  const auto text_in = [](const std::string& name, const std::string& code) {
    return "the file is text in " + name +
           ", not in UTF-8: save it as UTF-8, or convert it (iconv -f " + code + " -t UTF-8)";
  };
  const struct {
    std::string content;
    std::string error;
  } cases[] = {
      {"\xFF\xFE" + widened(row, 2, 0), text_in("UTF-16 (little-endian)", "UTF-16LE")},
      {"\xFE\xFF" + widened(row, 2, 1), text_in("UTF-16 (big-endian)", "UTF-16BE")},
      {widened(row, 2, 0), text_in("UTF-16 (little-endian)", "UTF-16LE")},
      {widened(row, 2, 1), text_in("UTF-16 (big-endian)", "UTF-16BE")},
      {widened("\r\n" + row, 2, 0), text_in("UTF-16 (little-endian)", "UTF-16LE")},
      {widened("{}", 2, 0), text_in("UTF-16 (little-endian)", "UTF-16LE")},
      {"\xFF\xFE\0\0"s + widened(row, 4, 0), text_in("UTF-32 (little-endian)", "UTF-32LE")},
      {"\0\0\xFE\xFF"s + widened(row, 4, 3), text_in("UTF-32 (big-endian)", "UTF-32BE")},
      {widened(row, 4, 0), text_in("UTF-32 (little-endian)", "UTF-32LE")},
      {widened(row, 4, 3), text_in("UTF-32 (big-endian)", "UTF-32BE")},
      {"\x1F\x8B\x08\0"s, "the file is compressed by gzip: unpack it first (gunzip)"},
      {"\x28\xB5\x2F\xFD\x04", "the file is compressed by zstd: unpack it first (zstd -d)"},
      {"BZh91AY&SY", "the file is compressed by bzip2: unpack it first (bunzip2)"},
      {"\xFD"
       "7zXZ\0"s,
       "the file is compressed by xz: unpack it first (unxz)"},
      {"PK\x03\x04\x14", "the file is a zip archive: unpack it first (unzip)"},
      {"PAR1\x15\x04", "the file is a Parquet table" + table},
      {"ARROW1\0\0"s, "the file is an Arrow table" + table},
      {"\xFF\xFF\xFF\xFF\x80\x02\0\0"s, "the file is an Arrow table" + table},
      {"SQLite format 3\0"s, "the file is an SQLite database: write its rows as JSON lines first"},
      {"\x80\x04\x95\x1B", "the file is a Python pickle: write its rows as JSON lines first"},
      {"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 9\n",
       "the file is the pointer of a file in Git LFS, not the file itself: fetch it first (git lfs "
       "pull)"},
      {std::string(257, 'a') + "ustar\0"s, "the file is a tar archive: unpack it first (tar -xf)"},
      {"\n<!DOCTYPE html>\n<html>",
       "the file is a web page, perhaps what a server said instead of the file: download it again"},
      {"<HTML><head>",
       "the file is a web page, perhaps what a server said instead of the file: download it again"},
      {"<?xml version=\"1.0\"?>", "the file is XML: write its rows as JSON lines first"},
      {"{'text': 'a'}\n",
       "the rows are written as Python prints a dict, with single quotes: write them as JSON "
       "(json.dumps)"},
      {"[{'text': 'a'}]\n",
       "the rows are written as Python prints a dict, with single quotes: write them as JSON "
       "(json.dumps)"},
      {"{\"text\": \"a\"}\r{\"text\": \"b\"}\r",
       "its lines end in carriage returns alone, as on old Macs: convert it to line feeds (tr "
       "'\\r' "
       "'\\n')"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(open_error(c.content), c.error) << c.error;
  }
}

TEST(ForeignFile, IsNamedAmongTextsToo) {
  EXPECT_NE(open_error("\xFF\xFE" + widened("one\ntwo\n", 2, 0), "a.txt"), "");
  EXPECT_NE(open_error(widened("one\ntwo\n", 2, 1), "a.txt"), "");
  EXPECT_NE(open_error("\x1F\x8B\x08\0"s, "a.txt"), "");
  EXPECT_NE(open_error("one\rtwo\r", "a.txt"), "");
  // Texts may be about anything.
  for (const std::string text : {"<html>", "{'a': 1}", "<?xml?>", "10 %\r20 %\rdone\n", "a\r\nb"}) {
    EXPECT_EQ(open_error(text, "a.txt"), "") << text;
  }
}

TEST(ForeignFile, IsNoneThatHoldsTextInUtf8) {
  const std::string fine[] = {"",
                              "{\"text\": \"a\"}\n",
                              "\xEF\xBB\xBF{\"text\": \"a\"}\r\n{\"text\": \"b\"}\r\n",
                              "\xEF\xBB\xBF\n [ {} ]",
                              "[\r{},\r{}\r]",
                              "{\"text\": \"日本語 🙂\"}",
                              "{}\r\r\n{}\r\r\n",
                              "{\"text\": \"nul \\u0000\"}"};
  for (const std::string& content : fine) {
    EXPECT_EQ(open_error(content), "") << content;
  }
}

TEST(ForeignFile, IsNotReadAsAPrompt) {
  const TempDirectory directory;
  const std::string path = directory.file("prompt.txt");
  write_file(path, "\xEF\xBB\xBFHello\n");
  EXPECT_EQ(read_text_file(path, 100), "Hello\n");
  write_file(path, "\xFF\xFE" + widened("Hello", 2, 0));
  EXPECT_THROW(read_text_file(path, 100), DataError);
  write_file(path, "\x1F\x8B\x08");
  EXPECT_THROW(read_text_file(path, 100), DataError);
}

}  // namespace
}  // namespace inlay
