// SPDX-License-Identifier: Apache-2.0
#include "data/template/civil_time.h"

#include <algorithm>
#include <chrono>
#include <ctime>

#include "core/error.h"

namespace inlay {
namespace {

std::chrono::year_month_day date_of(const CivilTime& time) {
  return std::chrono::year(time.year) / time.month / time.day;
}

bool is_valid(const CivilTime& time) {
  // Four-digit years only: what %Y prints of others differs from system to system.
  return date_of(time).ok() && time.year >= 1000 && time.year <= 9999 && time.hour >= 0 &&
         time.hour < 24 && time.minute >= 0 && time.minute < 60 && time.second >= 0 &&
         time.second < 60;
}

/// Whether `text` has a digit for each 0 of `mask` and the mask's own character elsewhere.
bool matches(std::string_view text, std::string_view mask) {
  return std::equal(text.begin(), text.end(), mask.begin(), mask.end(),
                    [](char c, char m) { return m == '0' ? c >= '0' && c <= '9' : c == m; });
}

std::tm broken_down(const CivilTime& time) {
  const std::chrono::sys_days day = date_of(time);
  const std::chrono::sys_days first = std::chrono::year(time.year) / 1 / 1;
  std::tm out{};
  out.tm_year = time.year - 1900;
  out.tm_mon = time.month - 1;
  out.tm_mday = time.day;
  out.tm_hour = time.hour;
  out.tm_min = time.minute;
  out.tm_sec = time.second;
  out.tm_wday = static_cast<int>(std::chrono::weekday(day).c_encoding());
  out.tm_yday = static_cast<int>((day - first).count());
  out.tm_isdst = -1;
  return out;
}

/// The directive at the start of `format`, which is behind a "%": flags, a width, a modifier and a
/// letter. Empty when the format ends before the letter.
std::string_view directive_at(std::string_view format) {
  const std::size_t flags = std::min(format.find_first_not_of("-_0^#"), format.size());
  const std::size_t width = std::min(format.find_first_not_of("0123456789", flags), format.size());
  const bool modified =
      format.substr(width).starts_with('E') || format.substr(width).starts_with('O');
  const std::size_t letter = width + (modified ? 1 : 0);
  return letter < format.size() ? format.substr(0, letter + 1) : std::string_view();
}

std::string directive_text(const std::tm& time, std::string_view directive) {
  // %s would depend on the machine's time zone, so it is left out.
  static constexpr std::string_view kLetters = "aAbBcCdDeFgGhHIjklmMnpPrRStTuUVwWxXyY%";
  if (directive == "f") {
    return "000000";
  }
  if (directive == "z" || directive == "Z") {
    return "";
  }
  // Longer widths are no date.
  constexpr std::size_t kLongest = 8;
  if (kLetters.find(directive.back()) == std::string_view::npos || directive.size() > kLongest) {
    throw DataError(str("strftime: unknown directive \"%", printable(std::string(directive)),
                        "\" (known: those of Python in the C locale, such as %d %b %Y)"));
  }
  const std::string one = str('%', directive);
  std::string out(256, '\0');
  std::size_t length = std::strftime(out.data(), out.size(), one.c_str(), &time);
  while (length == 0) {  // a width of more than the buffer; no directive is empty in the C locale
    out.resize(out.size() * 16);
    length = std::strftime(out.data(), out.size(), one.c_str(), &time);
  }
  out.resize(length);
  return out;
}

}  // namespace

CivilTime CivilTime::parse(std::string_view iso) {
  const auto field = [&](std::size_t at, std::size_t length) {
    return std::stoi(std::string(iso.substr(at, length)));
  };
  const bool with_time = matches(iso, "0000-00-00T00:00:00");
  CivilTime time{.year = 0};  // no valid date until one is read
  if (with_time || matches(iso, "0000-00-00")) {
    time = {.year = field(0, 4), .month = field(5, 2), .day = field(8, 2)};
  }
  if (with_time) {
    time.hour = field(11, 2);
    time.minute = field(14, 2);
    time.second = field(17, 2);
  }
  if (!is_valid(time)) {
    throw DataError(
        str("\"", printable(iso), "\" is not a date: expected 2025-01-31 or 2025-01-31T12:30:00"));
  }
  return time;
}

CivilTime CivilTime::now() {
  const std::time_t clock = std::time(nullptr);
  std::tm local{};
  localtime_r(&clock, &local);
  return {.year = local.tm_year + 1900,
          .month = local.tm_mon + 1,
          .day = local.tm_mday,
          .hour = local.tm_hour,
          .minute = local.tm_min,
          .second = std::min(local.tm_sec, 59)};  // a leap second has no place in the format
}

std::string CivilTime::text() const {
  return format_time(*this, "%Y-%m-%dT%H:%M:%S");
}

std::string format_time(const CivilTime& time, std::string_view format) {
  if (!is_valid(time)) {
    throw DataError("strftime: the date given is not a date of the calendar");
  }
  const std::tm parts = broken_down(time);
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const std::string_view directive = directive_at(format.substr(i + 1));
    if (directive.empty()) {
      throw DataError("strftime: the format ends inside a directive");
    }
    out += directive_text(parts, directive);
    i += directive.size();
  }
  return out;
}

}  // namespace inlay
