// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "data/tokenizer/normalizer_steps.h"

namespace inlay {
namespace {

TEST(NormalizerSteps, ChangeTextAsTheirNamesSay) {
  const struct {
    NormalizerStepPtr step;
    std::string text;
    std::string changed;
  } cases[] = {
      {normalization_form(NormalizationForm::kD), "\u00e9\uac01", "e\u0301\u1100\u1161\u11a8"},
      {normalization_form(NormalizationForm::kKC), "\ufb01\u2460\uff76\uff9e", "fi1\u30ac"},
      {normalization_form(NormalizationForm::kKD), "\u00bd\u00e9", "1\u20442e\u0301"},
      {lowercase(), "\u00c4B\u0130", "\u00e4bi\u0307"},
      {strip_accents(), "e\u0301\u0924\u094a", "e\u0924"},
      {strip(true, false), " \u3000a ", "a "},
      {strip(true, true), " \n ", ""},
      {prepend("_"), "a", "_a"},
      {prepend("_"), "", ""},
      {replace(Regex(" {2,}"), "-"), "a   b c  ", "a-b c-"},
      {nmt(), "a\x01\tb\u200b\u2581", "a b  "},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(c.step->apply(c.text).text, c.changed) << c.text;
  }
}

TEST(NormalizerSteps, TellWhereTextComesFrom) {
  const std::string source = "..  \ufb01 x..";
  AlignedText text(std::string_view(source).substr(2, 8), 2);
  Normalizer normalizer;
  normalizer.add(strip(true, false));
  normalizer.add(normalization_form(NormalizationForm::kKC));
  normalizer.add(prepend("_"));
  normalizer.apply(text);
  ASSERT_EQ(text.text(), "_fi x.");
  EXPECT_EQ(text.source_of(0, 1), (ByteRange{4, 4}));  // stands for nothing
  EXPECT_EQ(text.source_of(0, 2), (ByteRange{4, 7}));
  EXPECT_EQ(text.source_of(2, 3), (ByteRange{4, 7}));  // all of the ligature
  EXPECT_EQ(text.source_of(3, 5), (ByteRange{7, 9}));
}

}  // namespace
}  // namespace inlay
