// SPDX-License-Identifier: Apache-2.0
#include "data/text/regex_reader.h"

#include <algorithm>
#include <array>

#include "core/error.h"
#include "data/text/ascii.h"
#include "data/text/utf8.h"

namespace inlay {
namespace {

/// The largest count PCRE2 can repeat.
constexpr i64 kMaxRepeat = 65535;

constexpr auto kCategories = std::to_array<std::string_view>(
    {"L",  "Lu", "Ll", "Lt", "Lm", "Lo", "M",  "Mn", "Mc", "Me", "N",  "Nd",
     "Nl", "No", "P",  "Pc", "Pd", "Ps", "Pe", "Pi", "Pf", "Po", "S",  "Sm",
     "Sc", "Sk", "So", "Z",  "Zs", "Zl", "Zp", "C",  "Cc", "Cf", "Co", "Cn"});

bool is_ascii_letter(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// -1 for what is no hexadecimal digit.
int hexadecimal_value(char c) {
  if (is_digit(c)) {
    return c - '0';
  }
  const char lower = static_cast<char>(c | 0x20);
  return is_ascii_letter(c) && lower <= 'f' ? lower - 'a' + 10 : -1;
}

}  // namespace

bool PatternReader::take(std::string_view text) {
  const bool found = pattern_.substr(at_).starts_with(text);
  at_ += found ? text.size() : 0;
  return found;
}

char32_t PatternReader::take_code_point() {
  const CodePoint point = code_point_at(pattern_, static_cast<i64>(at_));
  at_ += static_cast<std::size_t>(point.length);
  return point.value;
}

void PatternReader::refuse(std::string_view what) const {
  throw DataError(str("the regular expression \"", printable(pattern_), "\" has ", what,
                      " at offset ", start_, ", which is not supported"));
}

void PatternReader::skip_group_name() {
  const std::size_t end = pattern_.find('>', at_);
  if (end == std::string_view::npos || end == at_) {
    refuse("a group without a name");
  }
  at_ = end + 1;
}

std::optional<PatternReader::Interval> PatternReader::take_interval() {
  auto found = find_interval();
  if (!found) {
    return std::nullopt;
  }
  at_ += found->length;
  return std::move(found->interval);
}

std::optional<PatternReader::FoundInterval> PatternReader::find_interval() const {
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
  const std::string upper = comma && high ? std::to_string(*high) : "";
  return FoundInterval{{str('{', least, comma ? "," : "", upper, '}'), !comma}, length + 1};
}

std::optional<PatternReader::SetEscape> PatternReader::take_set_escape() {
  const char name = peek();
  const auto lower = static_cast<char>(name | 0x20);
  if (std::string_view("swhdp").find(lower) == std::string_view::npos || !is_ascii_letter(name)) {
    return std::nullopt;
  }
  if (lower == 'p') {
    return SetEscape{name, take_property(), false, true};
  }
  ++at_;
  if (lower == 'd') {
    return SetEscape{name, name == 'D' ? R"(\P{Nd})" : R"(\p{Nd})", false, true};
  }
  const std::string_view items = lower == 's'   ? kSpaceItems
                                 : lower == 'w' ? kWordItems
                                                : kHexDigitItems;
  return SetEscape{name, std::string(items), name != lower};
}

/// p{Lu}, P{Lu}, p{^Lu}: a general category, or else a script.
std::string PatternReader::take_property() {
  const bool upper = take_byte() == 'P';
  const bool braced = take("{");
  const bool caret = braced && take("^");
  const std::size_t end = pattern_.find('}', at_);
  if (!braced || end == std::string_view::npos) {
    refuse("a \\p without {...}");
  }
  const std::string_view name = pattern_.substr(at_, end - at_);
  at_ = end + 1;
  const bool category = std::count(kCategories.begin(), kCategories.end(), name) != 0;
  const bool plain =
      std::all_of(name.begin(), name.end(), [](char c) { return is_ascii_letter(c) || c == '_'; });
  if (!category && (!plain || name.size() < 3)) {
    refuse(str("the property \"", printable(name), "\""));
  }
  // A bare script name means Script_Extensions to PCRE2.
  return str(upper != caret ? R"(\P{)" : R"(\p{)", category ? "" : "sc:", name, '}');
}

char32_t PatternReader::take_literal_escape() {
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
    return take_hexadecimal(c == 'u' ? 4 : 2, c == 'x');
  }
  if (is_ascii_letter(c) || is_digit(c)) {
    refuse(str("\"\\", c, "\""));
  }
  return take_code_point();
}

/// Exactly `digits` hexadecimal digits, or any number in braces where `may_be_braced`.
char32_t PatternReader::take_hexadecimal(std::size_t digits, bool may_be_braced) {
  const bool braced = may_be_braced && take("{");
  const std::size_t end = braced ? pattern_.find('}', at_) : at_ + digits;
  if (end == std::string_view::npos || end > pattern_.size() || end == at_ || end - at_ > 8) {
    refuse("a code point that is cut short");
  }
  char32_t value = 0;
  while (at_ < end) {
    const int digit = hexadecimal_value(take_byte());
    if (digit < 0) {
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

}  // namespace inlay
