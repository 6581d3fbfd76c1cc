// SPDX-License-Identifier: Apache-2.0
#include "data/template/number_text.h"

#include <algorithm>
#include <charconv>
#include <limits>
#include <string>

#include "data/template/characters.h"
#include "data/text/ascii.h"

namespace inlay::jinja {
namespace {

/// Underscores may stand between two digits; they are taken out. Nothing for any other place.
std::optional<std::string> without_underscores(std::string_view text, bool (*digit)(char)) {
  std::string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '_') {
      out += text[i];
    } else if (i == 0 || i + 1 == text.size() || !digit(text[i - 1]) || !digit(text[i + 1])) {
      return std::nullopt;
    }
  }
  return out;
}

bool is_letter_or_digit(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

/// Takes a sign off and tells whether it was a minus.
bool take_sign(std::string_view& text) {
  const bool minus = text.starts_with('-');
  if (minus || text.starts_with('+')) {
    text.remove_prefix(1);
  }
  return minus;
}

void take_prefix(std::string_view& text, i64 base) {
  const char letter = base == 2 ? 'b' : base == 8 ? 'o' : base == 16 ? 'x' : '\0';
  if (letter != '\0' && text.size() > 2 && text[0] == '0' && (text[1] | 0x20) == letter) {
    text.remove_prefix(text[2] == '_' ? 3 : 2);
  }
}

std::string lower_ascii(std::string_view text) {
  std::string out(text);
  std::transform(out.begin(), out.end(), out.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c; });
  return out;
}

}  // namespace

ParsedInteger parse_integer(std::string_view text, i64 base) {
  text = strip(text);
  const bool minus = take_sign(text);
  take_prefix(text, base);
  const auto digits = without_underscores(text, is_letter_or_digit);
  if (!digits.has_value() || digits->empty() || !is_letter_or_digit(digits->front())) {
    return {};
  }
  const std::string signed_digits = (minus ? "-" : "") + *digits;
  i64 value = 0;
  const char* end = signed_digits.data() + signed_digits.size();
  const auto result = std::from_chars(signed_digits.data(), end, value, static_cast<int>(base));
  if (result.ptr != end || result.ec == std::errc::invalid_argument) {
    return {};
  }
  if (result.ec == std::errc::result_out_of_range) {
    return {std::nullopt, true};
  }
  return {value, false};
}

std::optional<double> parse_float(std::string_view text) {
  text = strip(text);
  const bool minus = take_sign(text);
  const double sign = minus ? -1.0 : 1.0;
  const std::string word = lower_ascii(text);
  if (word == "inf" || word == "infinity") {
    return sign * std::numeric_limits<double>::infinity();
  }
  if (word == "nan") {
    return std::numeric_limits<double>::quiet_NaN();
  }
  const auto digits = without_underscores(word, is_digit);
  if (!digits.has_value() || digits->empty() ||
      !(is_digit(digits->front()) || digits->front() == '.')) {
    return std::nullopt;
  }
  double value = 0;
  const char* end = digits->data() + digits->size();
  const auto result = std::from_chars(digits->data(), end, value);
  if (result.ptr != end || result.ec == std::errc::invalid_argument) {
    return std::nullopt;
  }
  if (result.ec == std::errc::result_out_of_range) {
    // Python rounds: too small becomes 0, too large infinity.
    value = digits->find("e-") != std::string::npos ? 0.0 : std::numeric_limits<double>::infinity();
  }
  return sign * value;
}

}  // namespace inlay::jinja
