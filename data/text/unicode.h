// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

/// Properties of code points, and composition.
namespace inlay {

/// White_Space: U+0009-000D, 0020, 0085, 00A0, 1680, 2000-200A, 2028, 2029, 202F, 205F, 3000.
bool is_white_space(char32_t code_point);

/// What regular expressions mean by \w: Alphabetic, marks, decimal digits, connector punctuation
/// and the two joiners (UTS #18, annex C).
bool is_word_character(char32_t code_point);

/// General category M: what an accent is once it stands by itself.
bool is_mark(char32_t code_point);

/// The lower case of one code point: one, but for U+0130, which becomes two. Appended as UTF-8.
void append_lower(std::string& out, char32_t code_point);

/// Length of the extended grapheme cluster that `text`, not empty, starts with (UAX #29).
i64 grapheme_length(std::string_view text);

/// A run of changed text and the run of the source text it stands for, both in bytes. In a run
/// that is `unchanged` the two have the same bytes; of any other, all bytes stand for all.
struct NormalizedRun {
  i64 source_length;
  i64 length;
  bool unchanged;
};

struct NormalizedText {
  std::string text;
  std::vector<NormalizedRun> runs;  // in order, covering both texts

  /// Takes over bytes of the source.
  void keep(std::string_view source);
  /// Puts `changed` where the source has `source_length` bytes: 0 to insert.
  void replace(i64 source_length, std::string_view changed);
};

enum class NormalizationForm { kC, kD, kKC, kKD };

/// A normalisation form of valid UTF-8 (UAX #15), of utf8proc's Unicode version.
NormalizedText normalize(std::string_view text, NormalizationForm form);

}  // namespace inlay
