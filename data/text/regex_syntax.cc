// SPDX-License-Identifier: Apache-2.0
#include "data/text/regex_syntax.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>

#include "core/error.h"
#include "core/types.h"
#include "data/text/utf8.h"

namespace inlay {
namespace {

/// Deeper nesting than any tokenizer's pattern has, and harmless to our own recursion.
constexpr int kMaxDepth = 60;

/// The largest count PCRE2 can repeat.
constexpr i64 kMaxRepeat = 65535;

// White_Space. PCRE2's own \s also takes in U+180E.
constexpr std::string_view kSpace =
    R"(\x{09}-\x{0D}\x{20}\x{85}\x{A0}\x{1680}\x{2000}-\x{200A}\x{2028}\x{2029}\x{202F}\x{205F}\x{3000})";
// Oniguruma's \w: UTS #18 without the joiners, and with the superscript digits and fractions of
// Latin-1.
constexpr std::string_view kWord =
    R"(\p{Alphabetic}\p{M}\p{Nd}\p{Pc}\x{B2}\x{B3}\x{B9}\x{BC}-\x{BE})";
constexpr std::string_view kHexDigit = "0-9A-Fa-f";

constexpr auto kCategories = std::to_array<std::string_view>(
    {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N",  "Nd",
     "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm",
     "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Co", "Cn"});

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool is_ascii_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// A code point so written that it is nothing but itself, in a set and outside.
std::string literal(char32_t point) {
  const auto c = static_cast<char>(point);
  if (point < 0x80 && (is_digit(c) || is_ascii_letter(c))) {
    return std::string(1, c);
  }
  char escaped[16];
  std::snprintf(escaped, sizeof escaped, "\\x{%X}", static_cast<unsigned>(point));
  return escaped;
}

class Translator {
 public:
  explicit Translator(std::string_view pattern) : pattern_(pattern) {}

  std::string translate() {
    // Elsewhere than in front, Ruby's `(?i)` would open a group that ends with the one around it.
    if (take("(?i)")) {
      out_ += "(?i)";
      flags_.ignore_case = true;
    }
    alternatives(0);
    if (!at_end()) {
      refuse("an unmatched \")\"");
    }
    return std::move(out_);
  }

 private:
  struct Flags {
    bool ignore_case = false;
    bool dot_takes_newline = false;
  };

  bool at_end() const { return at_ >= pattern_.size(); }
  char peek(std::size_t ahead = 0) const {
    return at_ + ahead < pattern_.size() ? pattern_[at_ + ahead] : '\0';
  }
  bool take(std::string_view text) {
    const bool found = pattern_.substr(at_).starts_with(text);
    at_ += found ? text.size() : 0;
    return found;
  }
  char32_t take_code_point() {
    const CodePoint point = code_point_at(pattern_, static_cast<i64>(at_));
    at_ += static_cast<std::size_t>(point.length);
    return point.value;
  }

  /// `what`, which starts at `start_`, has no counterpart.
  [[noreturn]] void refuse(std::string_view what) const {
    throw DataError(str("the regular expression \"", printable(pattern_), "\" has ", what,
                        " at offset ", start_, ", which is not supported"));
  }

  // Alternatives, up to a ")" or the end.
  void alternatives(int depth) {
    const Flags flags = flags_;
    while (!at_end() && peek() != ')') {
      start_ = at_;
      if (take("|")) {
        out_ += '|';
        folded_before_ = '\0';
      } else if (atom(depth)) {
        quantifier();
      }
    }
    flags_ = flags;
  }

  /// One atom. False for what nothing can be repeated of: an anchor, a look-around.
  bool atom(int depth) {
    switch (peek()) {
      case '(':
        return group(depth);
      case '[':
        ++at_;
        folded_before_ = '\0';
        out_ += take("^") ? "[^" : "[";
        set_items(depth);
        out_ += ']';
        return true;
      case '\\':
        ++at_;
        return escape();
      case '.':
        ++at_;
        folded_before_ = '\0';
        out_ += flags_.dot_takes_newline ? "(?s:.)" : R"([^\x{A}])";
        return true;
      case '^':
        return anchor("(?m:^)");
      case '$':
        return anchor("(?m:$)");
      case '*':
      case '+':
      case '?':
        refuse("a repeat of nothing");
      default:
        if (interval().has_value()) {
          refuse("a repeat of nothing");
        }
        literal_atom(take_code_point());
        return true;
    }
  }

  bool anchor(std::string_view written) {
    ++at_;
    folded_before_ = '\0';
    out_ += written;
    return false;
  }

  void literal_atom(char32_t point) {
    if (flags_.ignore_case) {
      check_folding(point);
    }
    out_ += literal(point);
  }

  /// Oniguruma lets one character match two that fold alike ("ss" and U+00DF, "fi" and U+FB01);
  /// PCRE2 folds one to one.
  void check_folding(char32_t point) {
    if (point >= 0x80) {
      refuse("a letter beyond ASCII under (?i)");
    }
    const char folded = static_cast<char>(point >= 'A' && point <= 'Z' ? point + 32 : point);
    constexpr std::array<std::string_view, 5> kPairs = {"ss", "st", "ff", "fi", "fl"};
    const std::array<char, 2> pair = {folded_before_, folded};
    if (std::count(kPairs.begin(), kPairs.end(), std::string_view(pair.data(), 2)) != 0) {
      refuse("a pair of letters that a single one stands for under (?i)");
    }
    folded_before_ = folded;
  }

  bool group(int depth) {
    if (depth == kMaxDepth) {
      refuse("groups nested too deep");
    }
    folded_before_ = '\0';
    const Flags outer = flags_;
    const bool repeatable = group_start();
    const std::size_t opened_at = start_;
    alternatives(depth + 1);
    start_ = opened_at;
    if (!take(")")) {
      refuse("a \"(\" without its \")\"");
    }
    out_ += ')';
    flags_ = outer;
    folded_before_ = '\0';
    return repeatable;
  }

  /// From "(" up to the group's content. False for a look-around.
  bool group_start() {
    constexpr std::array<std::string_view, 4> kLookArounds = {"(?=", "(?!", "(?<=", "(?<!"};
    for (const std::string_view start : kLookArounds) {
      if (take(start)) {
        out_ += start;
        return false;
      }
    }
    if (take("(?>")) {
      out_ += "(?>";
    } else if (take("(?<")) {
      skip_group_name();
      out_ += "(?:";
    } else if (take("(?")) {
      flagged_group();
    } else {
      ++at_;
      out_ += "(?:";
    }
    return true;
  }

  void skip_group_name() {
    const std::size_t end = pattern_.find('>', at_);
    if (end == std::string_view::npos || end == at_) {
      refuse("a group without a name");
    }
    at_ = end + 1;
  }

  /// "(?i:", "(?-i:", "(?m:" … after the "(?". Ruby's m lets the dot take newlines.
  void flagged_group() {
    bool on = true;
    for (; peek() != ':'; ++at_) {
      if (peek() == '-' && on) {
        on = false;
      } else if (peek() == 'i') {
        flags_.ignore_case = on;
      } else if (peek() == 'm') {
        flags_.dot_takes_newline = on;
      } else {
        refuse(str("\"", printable(pattern_.substr(start_, 4)), "\""));
      }
    }
    ++at_;
    out_ += flags_.ignore_case ? "(?i:" : "(?-i:";
  }

  struct Interval {
    std::string written;
    std::size_t length;
    bool exact;  // {n}
  };

  /// The "{n}", "{n,}", "{,m}" or "{n,m}" that starts here, if one does.
  std::optional<Interval> interval() const {
    std::size_t length = 1;
    const auto number = [&]() -> std::optional<i64> {
      i64 value = 0;
      const std::size_t begin = length;
      for (; is_digit(peek(length)); ++length) {
        value = std::min(value * 10 + (peek(length) - '0'), kMaxRepeat + 1);
      }
      return length > begin ? std::optional(value) : std::nullopt;
    };
    if (peek() != '{') {
      return std::nullopt;
    }
    const auto low = number();
    const bool comma = peek(length) == ',';
    length += comma ? 1 : 0;
    const auto high = comma ? number() : low;
    if (peek(length) != '}' || (!low && !high)) {
      return std::nullopt;
    }
    const i64 least = low.value_or(0);
    if (least > kMaxRepeat || high.value_or(0) > kMaxRepeat || (high && *high < least)) {
      refuse("a repeat count out of range");
    }
    return Interval{
        str('{', least, comma ? "," : "", comma && high ? std::to_string(*high) : "", '}'),
        length + 1, !comma};
  }

  void quantifier() {
    start_ = at_;
    const char mark = peek();
    if (mark == '*' || mark == '+' || mark == '?') {
      ++at_;
      out_ += mark;
      if (peek() == '?' || peek() == '+') {
        out_ += pattern_[at_++];
      }
    } else if (const auto found = interval()) {
      at_ += found->length;
      out_ += found->written;
      // There `{n}?` is optional and `{n,m}+` repeats the repeat; here one is lazy, one possessive.
      if (peek() == '+' || (peek() == '?' && found->exact)) {
        refuse("a \"+\" or \"?\" after a repeat count");
      }
      if (take("?")) {
        out_ += '?';
      }
    } else {
      return;
    }
    folded_before_ = '\0';
    start_ = at_;
    if (peek() == '*' || peek() == '+' || peek() == '?' || interval().has_value()) {
      refuse("a repeat of a repeat");
    }
  }

  /// After a "\" outside of sets. False for an anchor.
  bool escape() {
    const char c = peek();
    if (const auto set = set_escape()) {
      folded_before_ = '\0';
      // A set of one property is written bare: [\p{L}] is slower than \p{L}.
      out_ += set->bare ? set->items : str(set->negated ? "[^" : "[", set->items, ']');
      return true;
    }
    switch (c) {
      case 'A':
        return anchor(R"(\A)");
      case 'z':
        return anchor(R"(\z)");
      case 'Z':
        return anchor(R"(\Z)");
      case 'b':
        return anchor(
            str("(?:(?<=[", kWord, "])(?![", kWord, "])|(?<![", kWord, "])(?=[", kWord, "]))"));
      case 'B':
        return anchor(
            str("(?:(?<=[", kWord, "])(?=[", kWord, "])|(?<![", kWord, "])(?![", kWord, "]))"));
      default:
        literal_atom(literal_escape());
        return true;
    }
  }

  struct SetEscape {
    std::string items;
    bool negated = false;
    bool bare = false;  // `items` means the same in a set and outside
  };

  /// \s, \w, \d, \h, \p{…} and their complements.
  std::optional<SetEscape> set_escape() {
    switch (peek()) {
      case 's':
      case 'S':
        return SetEscape{std::string(kSpace), pattern_[at_++] == 'S'};
      case 'w':
      case 'W':
        return SetEscape{std::string(kWord), pattern_[at_++] == 'W'};
      case 'h':
      case 'H':
        return SetEscape{std::string(kHexDigit), pattern_[at_++] == 'H'};
      case 'd':
      case 'D':
        return SetEscape{pattern_[at_++] == 'D' ? R"(\P{Nd})" : R"(\p{Nd})", false, true};
      case 'p':
      case 'P':
        return SetEscape{property(), false, true};
      default:
        return std::nullopt;
    }
  }

  /// p{Lu}, P{Lu}, p{^Lu}: a general category, or else a script.
  std::string property() {
    const bool upper = pattern_[at_++] == 'P';
    const bool braced = take("{");
    const bool caret = braced && take("^");
    const std::size_t end = pattern_.find('}', at_);
    if (!braced || end == std::string_view::npos) {
      refuse("a \\p without {...}");
    }
    const std::string_view name = pattern_.substr(at_, end - at_);
    at_ = end + 1;
    const bool category = std::count(kCategories.begin(), kCategories.end(), name) != 0;
    const bool plain = std::all_of(name.begin(), name.end(),
                                   [](char c) { return is_ascii_letter(c) || c == '_'; });
    if (!category && (!plain || name.size() < 3)) {
      refuse(str("the property \"", printable(name), "\""));
    }
    // A bare script name means Script_Extensions to PCRE2.
    return str(upper != caret ? R"(\P{)" : R"(\p{)", category ? "" : "sc:", name, '}');
  }

  /// The code point that an escape stands for: \n, \x{2028}, \u2028, \., …
  char32_t literal_escape() {
    constexpr std::string_view kNames = "tnvfrae";
    constexpr std::string_view kValues = "\t\n\v\f\r\a\x1b";
    if (at_end()) {
      refuse("a \"\\\" at the end");
    }
    const char c = peek();
    if (const auto found = kNames.find(c); found != std::string_view::npos) {
      ++at_;
      return static_cast<char32_t>(kValues[found]);
    }
    if (c == 'x' || c == 'u') {
      ++at_;
      return hexadecimal(c == 'u' ? 4 : 2, c == 'x');
    }
    if (is_ascii_letter(c) || is_digit(c)) {
      refuse(str("\"\\", c, "\""));
    }
    return take_code_point();
  }

  /// Exactly `digits` hexadecimal digits, or any number in braces where `may_be_braced`.
  char32_t hexadecimal(std::size_t digits, bool may_be_braced) {
    const bool braced = may_be_braced && take("{");
    const std::size_t end = braced ? pattern_.find('}', at_) : at_ + digits;
    if (end == std::string_view::npos || end > pattern_.size() || end == at_ || end - at_ > 8) {
      refuse("a code point that is cut short");
    }
    char32_t value = 0;
    for (; at_ < end; ++at_) {
      const auto digit = std::string_view("0123456789abcdef").find(peek() | 0x20);
      if (digit == std::string_view::npos) {
        refuse("a code point that is not hexadecimal");
      }
      value = value << 4 | static_cast<char32_t>(digit);
    }
    at_ += braced ? 1 : 0;
    const bool surrogate = value >= 0xD800 && value <= 0xDFFF;
    // Two digits above 7f are a byte to Oniguruma, not a code point.
    if (value > 0x10FFFF || surrogate || (digits == 2 && !braced && value > 0x7F)) {
      refuse("a code point out of range");
    }
    return value;
  }

  /// A set's items, from behind its "[" or "[^" to its "]". A set within a set is written flat.
  void set_items(int depth) {
    const std::size_t opened_at = start_;
    if (depth == kMaxDepth) {
      refuse("sets nested too deep");
    }
    if (peek() == ']') {
      refuse("an empty set");
    }
    while (!take("]")) {
      if (at_end()) {
        start_ = opened_at;
        refuse("a \"[\" without its \"]\"");
      }
      start_ = at_;
      if (take("&&")) {
        refuse("\"&&\"");
      } else if (take("[:") || take("[^")) {
        refuse(str("\"", pattern_.substr(start_, 2), "\" in a set"));
      } else if (take("[")) {
        set_items(depth + 1);
      } else {
        set_item();
      }
    }
  }

  /// One code point, one range, or one escape that stands for many.
  void set_item() {
    if (peek() == '\\') {
      ++at_;
      if (const auto set = set_escape()) {
        // There a set folds all it holds, properties too; PCRE2 folds only what is listed.
        if (set->bare && flags_.ignore_case) {
          refuse("a property in a set under (?i)");
        }
        if (set->negated) {
          negated_set_escape();
        } else {
          out_ += set->items;
        }
        if (peek() == '-' && peek(1) != ']') {
          refuse("a range that starts with a set");
        }
        return;
      }
      --at_;
    }
    const char32_t first = set_code_point();
    out_ += literal(first);
    if (peek() == '-' && peek(1) != ']') {
      ++at_;
      if (peek() == '[') {
        refuse("a range that ends in a set");
      }
      const char32_t last = set_code_point();
      if (last < first) {
        refuse("a range from high to low");
      }
      out_ += '-' + literal(last);
    }
  }

  /// \S within a set: white space is a property of its own, \W and \H are not.
  void negated_set_escape() {
    if (pattern_[at_ - 1] != 'S') {
      refuse(str("\"\\", pattern_[at_ - 1], "\" in a set"));
    }
    out_ += R"(\P{White_Space})";
  }

  char32_t set_code_point() {
    if (at_end()) {
      refuse("a set without its \"]\"");
    }
    char32_t point = 0;
    if (take("\\")) {
      // Between brackets \b is a backspace.
      point = take("b") ? U'\b' : literal_escape();
    } else {
      point = take_code_point();
    }
    if (flags_.ignore_case && point >= 0x80) {
      refuse("a letter beyond ASCII under (?i)");
    }
    return point;
  }

  std::string_view pattern_;
  std::size_t at_ = 0;
  std::size_t start_ = 0;  // of what is being read, for messages
  std::string out_;
  Flags flags_;
  char folded_before_ = '\0';  // the letter just before, in lower case, under (?i)
};

}  // namespace

std::string to_pcre2(std::string_view pattern) {
  check_utf8(pattern, "the regular expression");
  return Translator(pattern).translate();
}

}  // namespace inlay
