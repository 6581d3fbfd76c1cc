// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

namespace inlay {

/// A regular expression with a bound on what it may cost, whoever wrote it. Matching is leftmost,
/// alternatives in order, repeats greedy unless said otherwise. Properties such as \p{L} are those
/// of PCRE2's Unicode version: 14 in PCRE2 10.42. Immutable; safe to use from many threads.
class Regex {
 public:
  struct Match {
    i64 begin;  // byte offsets
    i64 end;
  };

  /// An expression as tokenizer.json has it (regex_syntax.h). Throws DataError when it is wrong, or
  /// holds what has no exact counterpart here.
  explicit Regex(std::string_view pattern);
  /// Matches `text` itself.
  static Regex literal(std::string_view text);

  /// Appends the matches in valid UTF-8 `text`, front to back. The search goes on where a match
  /// ended; an empty match right behind a match does not count. Throws DataError when a match needs
  /// more steps, in proportion to the length of `text`, or more memory than any honest pattern.
  void find_all(std::string_view text, std::vector<Match>& matches) const;

 private:
  struct Code;
  Regex(std::string_view shown, std::string_view pcre2_pattern, unsigned options);
  std::string shown_;  // the pattern as its author wrote it
  std::shared_ptr<const Code> code_;
};

}  // namespace inlay
