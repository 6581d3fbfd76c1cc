// SPDX-License-Identifier: Apache-2.0
#include "data/text/unicode.h"

#include <gtest/gtest.h>

#include <chrono>
#include <string>

namespace inlay {
namespace {

TEST(Unicode, ComposesAsTheStandardSays) {
  const struct {
    std::string text;
    std::string composed;
  } cases[] = {
      {"", ""},
      {"plain", "plain"},
      {"caf\u0065\u0301!", "caf\u00e9!"},
      {"\u0061\u030a\u0327", "\u00e5\u0327"},        // reordered: the cedilla has the lower class
      {"\u0071\u0307\u0323", "\u0071\u0323\u0307"},  // reordered, nothing to compose
      {"\u0044\u0307\u0323", "\u1e0c\u0307"},        // UAX #15, figure 5
      {"\u212b\u2126", "\u00c5\u03a9"},              // singletons
      {"\u0958", "\u0915\u093c"},                    // excluded from composition
      {"\ufb01\u2460", "\ufb01\u2460"},              // compatibility only: kept
      {"\u1100\u1161\u11a8", "\uac01"},              // Hangul
      {"\uac00\u11a8", "\uac01"},
      {"\u1100\u1161\u11a7", "\uac00\u11a7"},              // not a tail that composes
      {"\u0f71\u0f72\u0f73", "\u0f71\u0f71\u0f72\u0f72"},  // a starter whose parts are marks
      {"\u0301a", "\u0301a"},                              // nothing to compose with
      {"\u0344", "\u0308\u0301"},
      {"x\u00e9\u0323y", "x\u1eb9\u0301y"},  // a composed letter is taken apart again
  };
  for (const auto& c : cases) {
    EXPECT_EQ(normalize(c.text, NormalizationForm::kC).text, c.composed) << c.text;
    EXPECT_EQ(normalize(c.composed, NormalizationForm::kC).text, c.composed) << c.composed;
  }
}

TEST(Unicode, TellsWhichSourceEachRunStandsFor) {
  const std::string text = "caf\u0065\u0301 na\u0069\u0308ve";
  const NormalizedText normalized = normalize(text, NormalizationForm::kC);
  ASSERT_EQ(normalized.runs.size(), 5U);
  const NormalizedRun expected[] = {
      {3, 3, true}, {3, 2, false}, {3, 3, true}, {3, 2, false}, {2, 2, true}};
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(normalized.runs[i].source_length, expected[i].source_length) << i;
    EXPECT_EQ(normalized.runs[i].length, expected[i].length) << i;
    EXPECT_EQ(normalized.runs[i].unchanged, expected[i].unchanged) << i;
  }
}

TEST(Unicode, SortsALongRunOfMarksInReasonableTime) {
  // 400 000 marks in the worst order. Sorting by insertion takes minutes.
  std::string text = "a";
  for (int i = 0; i < 200'000; ++i) {
    text += "\u0301\u0323";
  }
  const auto start = std::chrono::steady_clock::now();
  const std::string composed = normalize(text, NormalizationForm::kC).text;
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_EQ(composed.substr(0, 6),
            "\u1ea1\u0323"
            "\xcc");  // the first dot below composes with the a
  EXPECT_LT(seconds.count(), 5.0);
}

TEST(Unicode, KnowsWhiteSpaceAndWordCharacters) {
  int spaces = 0;
  for (char32_t c = 0; c <= 0x10FFFF; ++c) {
    spaces += is_white_space(c) ? 1 : 0;
  }
  EXPECT_EQ(spaces, 25);
  EXPECT_FALSE(is_white_space(0x180E));
  EXPECT_FALSE(is_white_space(0x200B));
  for (const char32_t c : {U'a', U'Z', U'0', U'_', U'\u00e9', U'\u0301', U'\u4f60', U'\u2160',
                           U'\u24b6', U'\u203f', U'\u200d'}) {
    EXPECT_TRUE(is_word_character(c)) << static_cast<unsigned>(c);
  }
  for (const char32_t c : {U' ', U'-', U'\u00b2', U'\u20ac', U'\u2460', U'\u201c'}) {
    EXPECT_FALSE(is_word_character(c)) << static_cast<unsigned>(c);
  }
}

}  // namespace
}  // namespace inlay
