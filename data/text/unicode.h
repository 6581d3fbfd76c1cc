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

/// A run of normalised text and the run of the source text it stands for, both in bytes. In a run
/// that is `unchanged` the two have the same bytes; any other run is one composed cluster.
struct NormalizedRun {
  i64 source_length;
  i64 length;
  bool unchanged;
};

struct NormalizedText {
  std::string text;
  std::vector<NormalizedRun> runs;  // in order, covering both texts
};

/// Normalisation form C of valid UTF-8 (UAX #15).
NormalizedText normalize_nfc(std::string_view text);

}  // namespace inlay
