// SPDX-License-Identifier: Apache-2.0
#include "data/text/utf8.h"

#include <gtest/gtest.h>

#include <string>

#include "core/error.h"

namespace inlay {
namespace {

struct Case {
  std::string bytes;
  i64 valid;             // length of the valid prefix
  std::string repaired;  // what append_as_utf8 makes of it
};

/// Ill-formed sequences of every kind; the repaired texts are those of the Unicode standard's table
/// 3-8 and what its rule gives for the others.
const Case kIllFormed[] = {
    {"ab\xFF", 2, "ab\uFFFD"},
    {"\x80", 0, "\uFFFD"},
    {"\xC0\xAF", 0, "\uFFFD\uFFFD"},                      // overlong
    {"\xE0\x80\xBF", 0, "\uFFFD\uFFFD\uFFFD"},            // overlong
    {"a\xED\xA0\x80z", 1, "a\uFFFD\uFFFD\uFFFDz"},        // a surrogate
    {"\xF4\x90\x80\x80", 0, "\uFFFD\uFFFD\uFFFD\uFFFD"},  // above U+10FFFF
    {"\xF4\x91\x92\x93\xFF\x41\x80\xBF\x42", 0,
     "\uFFFD\uFFFD\uFFFD\uFFFD\uFFFD"
     "A\uFFFD\uFFFD"
     "B"},
    {"\xE1\x80\xE2\xF0\x91\x92\xF1\xBF\x41", 0,
     "\uFFFD\uFFFD\uFFFD\uFFFD"
     "A"},  // cut short, one U+FFFD each
    {"12345678\xE4\xBD", 8, "12345678\uFFFD"},
    {"12345678\xE4\xBD\xA0\xE4", 11, "12345678\u4F60\uFFFD"},
};

TEST(Utf8, FindsTheFirstByteThatIsWrong) {
  for (const Case& c : kIllFormed) {
    EXPECT_EQ(valid_utf8_length(c.bytes), c.valid) << testing::PrintToString(c.bytes);
  }
  const std::string good = "a\u00e9\u4f60\U0001F642\x7f\u07ff\uffff\U0010FFFF\u0800\ud7ff";
  EXPECT_EQ(valid_utf8_length(good), static_cast<i64>(good.size()));
  EXPECT_EQ(valid_utf8_length(""), 0);
}

TEST(Utf8, RefusesWhatIsNotUtf8WithByteAndOffset) {
  try {
    check_utf8("abc\xFF", "line 3");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_STREQ(error.what(), "line 3: byte 0xff at offset 3 is not UTF-8");
  }
  check_utf8("abc", "line 3");
}

TEST(Utf8, ReplacesEveryMaximalIllFormedPart) {
  for (const Case& c : kIllFormed) {
    std::string repaired;
    append_as_utf8(repaired, c.bytes);
    EXPECT_EQ(repaired, c.repaired) << testing::PrintToString(c.bytes);
  }
}

TEST(Utf8, WritesAndReadsEveryCodePoint) {
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    if (c >= 0xD800 && c <= 0xDFFF) {
      continue;
    }
    std::string text = "x";
    append_utf8(text, c);
    const CodePoint read = code_point_at(text, 1);
    ASSERT_EQ(read.value, c);
    ASSERT_EQ(read.length, static_cast<i64>(text.size()) - 1);
    ASSERT_EQ(previous_code_point(text, text.size()), 1);
    ASSERT_EQ(valid_utf8_length(text), static_cast<i64>(text.size()));
  }
}

TEST(Utf8, KnowsHowMuchOfTheEndIsUnfinished) {
  EXPECT_EQ(unfinished_utf8_tail(""), 0);
  EXPECT_EQ(unfinished_utf8_tail("a"), 0);
  EXPECT_EQ(unfinished_utf8_tail("a\xC3"), 1);
  EXPECT_EQ(unfinished_utf8_tail("a\xC3\xA9"), 0);
  EXPECT_EQ(unfinished_utf8_tail("a\xF0\x9F\x99"), 3);
  EXPECT_EQ(unfinished_utf8_tail("\xF0\x9F\x99\x82"), 0);
  EXPECT_EQ(unfinished_utf8_tail("\xED\xA0"), 0);  // nothing can finish a surrogate
  EXPECT_EQ(unfinished_utf8_tail("\x80\x80\x80\x80"), 0);
}

}  // namespace
}  // namespace inlay
