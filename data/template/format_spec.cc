// SPDX-License-Identifier: Apache-2.0
#include "data/template/format_spec.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "core/error.h"
#include "data/template/characters.h"
#include "data/template/text_forms.h"
#include "data/text/ascii.h"

namespace inlay::jinja {
namespace {

/// More digits than any double has.
constexpr i64 kMaxPrecision = 4096;

class SpecReader {
 public:
  SpecReader(Runtime& runtime, std::string_view text)
      : runtime_(runtime), text_(text), rest_(text) {}

  FormatSpec read() {
    read_fill();
    spec_.sign = take("+- ").value_or('-');
    take("z");  // no number below is printed as -0 by it alone
    spec_.alternate = take("#").has_value();
    // A fill of one's own wins over the zero.
    if (take("0") && !has_fill_) {
      spec_.fill = "0";
      spec_.align = spec_.align == '\0' ? '=' : spec_.align;
    }
    spec_.width = number(0);
    spec_.grouping = take(",_").value_or('\0');
    if (take(".")) {
      spec_.precision = number(-1);
      if (spec_.precision < 0) {
        fail();
      }
    }
    if (!rest_.empty()) {
      spec_.type = rest_.front();
      rest_.remove_prefix(1);
    }
    if (!rest_.empty()) {
      fail();
    }
    return spec_;
  }

 private:
  [[noreturn]] void fail() const {
    runtime_.fail(str("\"", printable(text_), "\" is no format specification"));
  }

  std::optional<char> take(std::string_view any_of) {
    if (rest_.empty() || any_of.find(rest_.front()) == std::string_view::npos) {
      return std::nullopt;
    }
    const char taken = rest_.front();
    rest_.remove_prefix(1);
    return taken;
  }

  void read_fill() {
    static constexpr std::string_view kAligns = "<>=^";
    std::size_t first = 0;
    if (!rest_.empty()) {
      next_code_point(rest_, first);
    }
    if (first > 0 && first < rest_.size() && kAligns.find(rest_[first]) != std::string_view::npos) {
      spec_.fill = std::string(rest_.substr(0, first));
      has_fill_ = true;
      rest_.remove_prefix(first);
    }
    spec_.align = take(kAligns).value_or('\0');
  }

  i64 number(i64 otherwise) {
    const auto digits =
        static_cast<std::size_t>(std::ranges::find_if_not(rest_, is_digit) - rest_.begin());
    if (digits == 0) {
      return otherwise;
    }
    i64 value = 0;
    const auto result = std::from_chars(rest_.data(), rest_.data() + digits, value);
    if (result.ec != std::errc()) {
      fail();
    }
    rest_.remove_prefix(digits);
    return value;
  }

  Runtime& runtime_;
  std::string_view text_, rest_;
  FormatSpec spec_;
  bool has_fill_ = false;
};

/// The parts a printed number is put together from.
struct NumberParts {
  std::string sign, prefix, digits, rest;  // "-", "0x", "1234", ".5e+10"
};

std::string printed(const char* form, i64 precision, double value) {
  char buffer[64];
  const int length = std::snprintf(buffer, sizeof buffer, form, static_cast<int>(precision), value);
  if (length < static_cast<int>(sizeof buffer)) {
    return buffer;
  }
  std::string out(static_cast<std::size_t>(length) + 1, '\0');
  std::snprintf(out.data(), out.size(), form, static_cast<int>(precision), value);
  out.pop_back();
  return out;
}

/// A float without a type but with a precision: like g, with a digit behind the point, and the
/// exponent one digit earlier.
std::string general(i64 precision, double value) {
  precision = std::max<i64>(precision, 1);
  std::string text = printed("%.*e", precision - 1, value);
  const std::size_t e = text.find('e');
  // Python decides by the exponent after rounding, which %e tells: 9.99 with one digit is 1e+01.
  const int point = std::stoi(text.substr(e + 1)) + 1;
  if (point > -4 && point <= precision - 1) {
    text = printed("%.*f", precision - point, value);
    text.erase(text.find_last_not_of('0') + 1);
    return text + (text.back() == '.' ? "0" : "");
  }
  std::string digits = text.substr(0, e);
  if (digits.find('.') != std::string::npos) {
    digits.erase(digits.find_last_not_of('0') + 1);
    digits.erase(digits.find_last_not_of('.') + 1);
  }
  return digits + text.substr(e);
}

std::string magnitude_text(double value, const FormatSpec& spec) {
  const char lower = static_cast<char>(spec.type | 0x20);
  const i64 precision = spec.precision < 0 ? 6 : spec.precision;
  if (spec.type == '\0') {
    return spec.precision < 0 ? float_text(value) : general(spec.precision, value);
  }
  if (spec.type == '%') {
    return printed(spec.alternate ? "%#.*f" : "%.*f", precision, value * 100.0);
  }
  if (lower == 'f') {
    return printed(spec.alternate ? "%#.*f" : "%.*f", precision, value);
  }
  if (lower == 'e') {
    return printed(spec.alternate ? "%#.*e" : "%.*e", precision, value);
  }
  return printed(spec.alternate ? "%#.*g" : "%.*g", precision, value);
}

NumberParts float_parts(Runtime& runtime, double value, const FormatSpec& spec) {
  if (spec.precision > kMaxPrecision) {
    runtime.fail(str("a precision of more than ", kMaxPrecision, " digits"));
  }
  NumberParts parts;
  parts.sign = std::signbit(value) && !std::isnan(value) ? "-" : "";
  std::string text = std::isnan(value)   ? "nan"
                     : std::isinf(value) ? "inf"
                                         : magnitude_text(std::fabs(value), spec);
  if (spec.type == 'E' || spec.type == 'F' || spec.type == 'G') {
    std::ranges::transform(text, text.begin(), [](char c) {
      return c >= 'a' && c <= 'z' ? static_cast<char>(c & ~0x20) : c;
    });
  }
  const auto end = std::ranges::find_if_not(text, is_digit);
  parts.digits.assign(text.begin(), end);
  parts.rest.assign(end, text.end());
  parts.rest += spec.type == '%' ? "%" : "";
  return parts;
}

NumberParts integer_parts(Runtime& runtime, i64 value, const FormatSpec& spec) {
  if (spec.precision >= 0) {
    runtime.fail("an integer has no precision in a format");
  }
  NumberParts parts;
  parts.sign = value < 0 ? "-" : "";
  const u64 magnitude = value < 0 ? -static_cast<u64>(value) : static_cast<u64>(value);
  const char lower = static_cast<char>(spec.type | 0x20);
  const int base = lower == 'x' ? 16 : lower == 'o' ? 8 : lower == 'b' ? 2 : 10;
  char buffer[64];
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, magnitude, base);
  parts.digits.assign(buffer, end.ptr);
  if (spec.alternate && base != 10) {
    parts.prefix = str('0', spec.type);
  }
  if (spec.type == 'X') {
    std::ranges::transform(parts.digits, parts.digits.begin(),
                           [](char c) { return c >= 'a' ? static_cast<char>(c & ~0x20) : c; });
  }
  return parts;
}

std::string grouped(const std::string& digits, char separator, std::size_t size) {
  std::string out;
  for (std::size_t i = 0; i < digits.size(); ++i) {
    if (separator != '\0' && i > 0 && (digits.size() - i) % size == 0) {
      out += separator;
    }
    out += digits[i];
  }
  return out;
}

/// Puts the parts together. Zeros that fill up between sign and digits are grouped as digits are.
std::string assembled(Runtime& runtime, NumberParts parts, const FormatSpec& spec) {
  if (parts.sign.empty() && spec.sign != '-') {
    parts.sign = std::string(1, spec.sign);
  }
  const char lower = static_cast<char>(spec.type | 0x20);
  const std::size_t size = lower == 'x' || lower == 'o' || lower == 'b' ? 4 : 3;
  const std::string front = parts.sign + parts.prefix;
  const auto width = static_cast<std::size_t>(std::max<i64>(spec.width, 0));
  runtime.check_text(width);
  std::string digits = grouped(parts.digits, spec.grouping, size);
  if (spec.align != '=') {
    return padded(runtime, front + digits + parts.rest, spec.align == '\0' ? '>' : spec.align,
                  spec.width, spec.fill);
  }
  if (spec.fill == "0" && !parts.digits.empty()) {
    const std::size_t around = front.size() + parts.rest.size();
    if (width > around + digits.size()) {
      parts.digits.insert(0, spec.grouping == '\0' ? width - around - digits.size() : 0, '0');
      digits = grouped(parts.digits, spec.grouping, size);
      while (around + digits.size() < width) {
        parts.digits.insert(0, 1, '0');
        digits = grouped(parts.digits, spec.grouping, size);
      }
    }
    return front + digits + parts.rest;
  }
  const i64 left = spec.width - static_cast<i64>(front.size());
  return front + padded(runtime, digits + parts.rest, '>', left, spec.fill);
}

std::string formatted_text(Runtime& runtime, std::string_view text, const FormatSpec& spec) {
  const bool number_only = spec.sign != '-' || spec.alternate || spec.grouping != '\0' ||
                           (spec.align == '=' && spec.fill != "0");
  if ((spec.type != '\0' && spec.type != 's') || number_only) {
    runtime.fail("the format of a string takes no sign, #, grouping or type but s");
  }
  if (spec.precision >= 0) {
    const std::vector<std::size_t> offsets = code_point_offsets(text);
    const auto most = static_cast<std::size_t>(spec.precision);
    text = text.substr(0, most + 1 < offsets.size() ? offsets[most] : text.size());
  }
  const bool own = spec.align == '\0' || spec.align == '=';
  return padded(runtime, text, own ? '<' : spec.align, spec.width, spec.fill);
}

}  // namespace

FormatSpec parse_format_spec(Runtime& runtime, std::string_view text) {
  return SpecReader(runtime, text).read();
}

std::string padded(Runtime& runtime, std::string_view text, char align, i64 width,
                   std::string_view fill) {
  const i64 missing = width - count_code_points(text);
  if (missing <= 0) {
    return std::string(text);
  }
  i64 bytes = 0;
  if (__builtin_mul_overflow(missing, static_cast<i64>(fill.size()), &bytes)) {
    bytes = missing;
  }
  runtime.check_text(text.size() + static_cast<std::size_t>(bytes));
  runtime.charge_text(static_cast<std::size_t>(bytes));
  const i64 left = align == '<' ? 0 : align == '>' ? missing : missing / 2;
  std::string out;
  for (i64 i = 0; i < left; ++i) {
    out += fill;
  }
  out += text;
  for (i64 i = left; i < missing; ++i) {
    out += fill;
  }
  return out;
}

std::string formatted_number(Runtime& runtime, const Value& number, const FormatSpec& spec) {
  static constexpr std::string_view kFloats = "eEfFgG%";
  static constexpr std::string_view kIntegers = "bdoxXn";
  const bool none = spec.type == '\0';
  if (number.is_integral() && spec.type == 'c') {
    if (number.as_int() < 0 || number.as_int() > 0x10FFFF) {
      runtime.fail("the format c needs the number of a character");
    }
    std::string out;
    append_code_point(out, static_cast<char32_t>(number.as_int()));
    return padded(runtime, out, spec.align == '\0' ? '>' : spec.align, spec.width, spec.fill);
  }
  const bool as_float = kFloats.find(spec.type) != std::string_view::npos && !none;
  const bool as_integer = none || kIntegers.find(spec.type) != std::string_view::npos;
  if (number.is_integral() && as_integer) {
    return assembled(runtime, integer_parts(runtime, number.as_int(), spec), spec);
  }
  if (as_float || (!number.is_integral() && (none || spec.type == 'n'))) {
    FormatSpec real = spec;
    real.type = spec.type == 'n' ? 'g' : spec.type;
    return assembled(runtime, float_parts(runtime, number.as_float(), real), real);
  }
  runtime.fail(
      str("the format ", printable(std::string(1, spec.type)), " is not for ", number.type_name()));
}

std::string formatted(Runtime& runtime, const Value& value, std::string_view text) {
  if (text.empty()) {
    return to_text(runtime, value);
  }
  const FormatSpec spec = parse_format_spec(runtime, text);
  if (value.is(Kind::kString)) {
    return formatted_text(runtime, value.as_string(), spec);
  }
  if (!value.is_number()) {
    runtime.fail(value.is(Kind::kUndefined) ? value.why_undefined()
                                            : str(value.type_name(), " takes no format"));
  }
  return formatted_number(runtime, value, spec);
}

}  // namespace inlay::jinja
