// SPDX-License-Identifier: Apache-2.0
#include "data/text/regex_syntax.h"

#include <algorithm>
#include <array>
#include <cstdio>
#include <optional>

#include "core/error.h"
#include "data/text/regex_reader.h"
#include "data/text/utf8.h"

namespace inlay {
namespace {

/// Deeper nesting than any tokenizer's pattern has, and harmless to our own recursion.
constexpr int kMaxDepth = 60;

/// A code point so written that it is nothing but itself, in a set and outside.
std::string literal(char32_t point) {
  const char c = point < 0x80 ? static_cast<char>(point) : '\0';
  if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')) {
    return std::string(1, c);
  }
  char escaped[16];
  std::snprintf(escaped, sizeof escaped, "\\x{%X}", static_cast<unsigned>(point));
  return escaped;
}

class Translator {
 public:
  explicit Translator(std::string_view pattern) : in_(pattern) {}

  std::string translate() {
    // Elsewhere than in front, Ruby's `(?i)` would open a group that ends with the one around it.
    if (in_.take("(?i)")) {
      out_ += "(?i)";
      flags_.ignore_case = true;
    }
    alternatives(0);
    if (!in_.at_end()) {
      in_.refuse("an unmatched \")\"");
    }
    return std::move(out_);
  }

 private:
  struct Flags {
    bool ignore_case = false;
    bool dot_takes_newline = false;
  };

  // Alternatives, up to a ")" or the end.
  void alternatives(int depth) {
    const Flags flags = flags_;
    while (!in_.at_end() && in_.peek() != ')') {
      in_.mark();
      if (in_.take("|")) {
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
    switch (in_.peek()) {
      case '(':
        return group(depth);
      case '[':
        in_.take_byte();
        folded_before_ = '\0';
        out_ += in_.take("^") ? "[^" : "[";
        set_items(depth);
        out_ += ']';
        return true;
      case '\\':
        in_.take_byte();
        return escape();
      case '.':
        in_.take_byte();
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
        in_.refuse("a repeat of nothing");
      default:
        if (in_.at_interval()) {
          in_.refuse("a repeat of nothing");
        }
        literal_atom(in_.take_code_point());
        return true;
    }
  }

  bool anchor(std::string_view written) {
    in_.take_byte();
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
      in_.refuse("a letter beyond ASCII under (?i)");
    }
    const char folded = static_cast<char>(point >= 'A' && point <= 'Z' ? point + 32 : point);
    constexpr std::array<std::string_view, 5> kPairs = {"ss", "st", "ff", "fi", "fl"};
    const std::array<char, 2> pair = {folded_before_, folded};
    if (std::count(kPairs.begin(), kPairs.end(), std::string_view(pair.data(), 2)) != 0) {
      in_.refuse("a pair of letters that a single one stands for under (?i)");
    }
    folded_before_ = folded;
  }

  bool group(int depth) {
    if (depth == kMaxDepth) {
      in_.refuse("groups nested too deep");
    }
    folded_before_ = '\0';
    const Flags outer = flags_;
    const bool repeatable = group_start();
    const std::size_t opened_at = in_.marked();
    alternatives(depth + 1);
    in_.mark(opened_at);
    if (!in_.take(")")) {
      in_.refuse("a \"(\" without its \")\"");
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
      if (in_.take(start)) {
        out_ += start;
        return false;
      }
    }
    if (in_.take("(?>")) {
      out_ += "(?>";
    } else if (in_.take("(?<")) {
      in_.skip_group_name();
      out_ += "(?:";
    } else if (in_.take("(?")) {
      flagged_group();
    } else {
      in_.take_byte();
      out_ += "(?:";
    }
    return true;
  }

  /// "(?i:", "(?-i:", "(?m:" … after the "(?". Ruby's m lets the dot take newlines.
  void flagged_group() {
    bool on = true;
    for (; in_.peek() != ':'; in_.take_byte()) {
      if (in_.peek() == '-' && on) {
        on = false;
      } else if (in_.peek() == 'i') {
        flags_.ignore_case = on;
      } else if (in_.peek() == 'm') {
        flags_.dot_takes_newline = on;
      } else {
        in_.refuse(str("\"", printable(in_.since_mark(4)), "\""));
      }
    }
    in_.take_byte();
    out_ += flags_.ignore_case ? "(?i:" : "(?-i:";
  }

  void quantifier() {
    in_.mark();
    if (at_mark()) {
      out_ += in_.take_byte();
      if (in_.peek() == '?' || in_.peek() == '+') {
        out_ += in_.take_byte();
      }
    } else if (const auto found = in_.take_interval()) {
      out_ += found->written;
      // There `{n}?` is optional and `{n,m}+` repeats the repeat; here one is lazy, one possessive.
      if (in_.peek() == '+' || (in_.peek() == '?' && found->exact)) {
        in_.refuse("a \"+\" or \"?\" after a repeat count");
      }
      if (in_.take("?")) {
        out_ += '?';
      }
    } else {
      return;
    }
    folded_before_ = '\0';
    in_.mark();
    if (at_mark() || in_.at_interval()) {
      in_.refuse("a repeat of a repeat");
    }
  }
  bool at_mark() const { return in_.peek() == '*' || in_.peek() == '+' || in_.peek() == '?'; }

  /// After a "\" outside of sets. False for an anchor.
  bool escape() {
    if (const auto set = in_.take_set_escape()) {
      folded_before_ = '\0';
      // A set of one property is written bare: [\p{L}] is slower than \p{L}.
      out_ += set->is_property ? set->items : str(set->negated ? "[^" : "[", set->items, ']');
      return true;
    }
    switch (in_.peek()) {
      case 'A':
        return anchor(R"(\A)");
      case 'z':
        return anchor(R"(\z)");
      case 'Z':
        return anchor(R"(\Z)");
      case 'b':
        return anchor(str("(?:(?<=[", kWordItems, "])(?![", kWordItems, "])|(?<![", kWordItems,
                          "])(?=[", kWordItems, "]))"));
      case 'B':
        return anchor(str("(?:(?<=[", kWordItems, "])(?=[", kWordItems, "])|(?<![", kWordItems,
                          "])(?![", kWordItems, "]))"));
      default:
        literal_atom(in_.take_literal_escape());
        return true;
    }
  }

  /// A set's items, from behind its "[" or "[^" to its "]". A set within a set is written flat.
  void set_items(int depth) {
    const std::size_t opened_at = in_.marked();
    if (depth == kMaxDepth) {
      in_.refuse("sets nested too deep");
    }
    if (in_.peek() == ']') {
      in_.refuse("an empty set");
    }
    while (!in_.take("]")) {
      if (in_.at_end()) {
        in_.mark(opened_at);
        in_.refuse("a \"[\" without its \"]\"");
      }
      in_.mark();
      if (in_.take("&&")) {
        in_.refuse("\"&&\"");
      } else if (in_.take("[:") || in_.take("[^")) {
        in_.refuse(str("\"", in_.since_mark(2), "\" in a set"));
      } else if (in_.take("[")) {
        set_items(depth + 1);
      } else {
        set_item();
      }
    }
  }

  /// One code point, one range, or one escape that stands for many.
  void set_item() {
    const bool escaped = in_.take("\\");
    if (const auto set = escaped ? in_.take_set_escape() : std::nullopt) {
      out_ += items_in_set(*set);
      if (in_.peek() == '-' && in_.peek(1) != ']') {
        in_.refuse("a range that starts with a set");
      }
      return;
    }
    const char32_t first = set_code_point(escaped);
    out_ += literal(first);
    if (in_.peek() == '-' && in_.peek(1) != ']') {
      in_.take_byte();
      if (in_.peek() == '[') {
        in_.refuse("a range that ends in a set");
      }
      const char32_t last = set_code_point(in_.take("\\"));
      if (last < first) {
        in_.refuse("a range from high to low");
      }
      out_ += '-' + literal(last);
    }
  }

  std::string items_in_set(const PatternReader::SetEscape& set) const {
    // There a set folds all it holds, properties too; PCRE2 folds only what is listed.
    if (set.is_property && flags_.ignore_case) {
      in_.refuse("a property in a set under (?i)");
    }
    if (!set.negated) {
      return set.items;
    }
    // White space is a property of its own; the complements of \w and \h are none.
    if (set.name != 'S') {
      in_.refuse(str("\"\\", set.name, "\" in a set"));
    }
    return R"(\P{White_Space})";
  }

  char32_t set_code_point(bool escaped) {
    if (in_.at_end()) {
      in_.refuse("a set without its \"]\"");
    }
    // Between brackets \b is a backspace.
    const char32_t point = !escaped        ? in_.take_code_point()
                           : in_.take("b") ? U'\b'
                                           : in_.take_literal_escape();
    if (flags_.ignore_case && point >= 0x80) {
      in_.refuse("a letter beyond ASCII under (?i)");
    }
    return point;
  }

  PatternReader in_;
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
