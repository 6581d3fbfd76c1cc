// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "core/types.h"

/// The smallest parts of Oniguruma's regular expressions. For regex_syntax.cc.
namespace inlay {

// The items of sets, as PCRE2 has them between brackets.
/// White_Space. PCRE2's own \s also takes in U+180E.
inline constexpr std::string_view kSpaceItems =
    R"(\x{09}-\x{0D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
/// Oniguruma's \w: UTS #18 without the joiners, and with the superscript digits and fractions of
/// Latin-1.
inline constexpr std::string_view kWordItems =
    R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";
inline constexpr std::string_view kHexDigitItems = "0-9A-Fa-f";

/// Reads a pattern, valid UTF-8, from the front. What has no counterpart in PCRE2 is refused:
/// DataError `the regular expression "…" has … at offset 3, which is not supported`.
class PatternReader {
 public:
  explicit PatternReader(std::string_view pattern) : pattern_(pattern) {}

  bool at_end() const { return at_ >= pattern_.size(); }
  /// The byte here or further on; NUL behind the end.
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0';
  }
  /// Steps over `text` if it is here.
  bool take(std::string_view text);
  char take_byte() { return pattern_[at_++]; }
  char32_t take_code_point();

  /// "{n}", "{n,}", "{,m}" or "{n,m}".
  struct Interval {
    std::string written;
    bool exact;  // {n}
  };
  /// Whether an interval starts here; another "{" is a letter like any other.
  bool at_interval() const { return find_interval().has_value(); }
  std::optional<Interval> take_interval();

  /// What stands for a set of code points: \s, \w, \d, \h, \p{…} and their complements.
  struct SetEscape {
    char name;
    std::string items;
    bool negated = false;
    bool is_property = false;  // `items` is one property, and means the same outside of a set
  };
  /// After a "\".
  std::optional<SetEscape> take_set_escape();
  /// After a "\": the code point that an escape stands for, as in \n, \x{2028}, \u2028, \.
  char32_t take_literal_escape();
  /// "name>"
  void skip_group_name();

  /// Says where what is read next starts, for `refuse`.
  void mark() { start_ = at_; }
  std::size_t marked() const { return start_; }
  void mark(std::size_t start) { start_ = start; }
  std::string_view since_mark(std::size_t limit) const { return pattern_.substr(start_, limit); }
  [[noreturn]] void refuse(std::string_view what) const;

 private:
  struct FoundInterval {
    Interval interval;
    std::size_t length;
  };
  std::optional<FoundInterval> find_interval() const;
  std::string take_property();
  char32_t take_hexadecimal(std::size_t digits, bool may_be_braced);

  std::string_view pattern_;
  std::size_t at_ = 0;
  std::size_t start_ = 0;
};

}  // namespace inlay
