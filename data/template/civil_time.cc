// SPDX-License-Identifier: Apache-2.0
#include "data/template/civil_time.h"

#include <algorithm>
#include <chrono>

#include "core/error.h"

namespace inlay {
namespace {

constexpr const char* kDays[] = {"Sunday",   "Monday", "Tuesday", "Wednesday",
                                 "Thursday", "Friday", "Saturday"};
constexpr const char* kMonths[] = {"January",   "February", "March",    "April",
                                   "May",       "June",     "July",     "August",
                                   "September", "October",  "November", "December"};

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

std::string number(int value, int width, char fill) {
  std::string digits = std::to_string(value);
  if (fill != '\0' && static_cast<int>(digits.size()) < width) {
    digits.insert(0, static_cast<std::size_t>(width) - digits.size(), fill);
  }
  return digits;
}

std::chrono::sys_days days_of(const CivilTime& time) {
  return date_of(time);
}

unsigned weekday_of(const CivilTime& time) {
  return std::chrono::weekday(days_of(time)).c_encoding();
}

int day_of_year(const CivilTime& time) {
  const std::chrono::sys_days first = std::chrono::year(time.year) / 1 / 1;
  return static_cast<int>((days_of(time) - first).count()) + 1;
}

std::string name_of(const CivilTime& time, char directive) {
  switch (directive) {
    case 'a':
      return std::string(kDays[weekday_of(time)]).substr(0, 3);
    case 'A':
      return kDays[weekday_of(time)];
    case 'b':
      return std::string(kMonths[time.month - 1]).substr(0, 3);
    case 'B':
      return kMonths[time.month - 1];
    case 'p':
      return time.hour < 12 ? "AM" : "PM";
    case 'F':
      return format_time(time, "%Y-%m-%d");
    case 'T':
      return format_time(time, "%H:%M:%S");
    default:
      throw DataError(str("strftime: unknown directive \"%", printable(std::string(1, directive)),
                          "\" (known: %Y %y %m %d %e %H %I %M %S %p %j %a %A %b %B %F %T %%)"));
  }
}

/// `zero` is '0', or '\0' when a minus asked for no padding.
std::string directive_text(const CivilTime& time, char directive, char zero) {
  switch (directive) {
    case 'Y':
      return number(time.year, 1, zero);
    case 'y':
      return number(time.year % 100, 2, zero);
    case 'm':
      return number(time.month, 2, zero);
    case 'd':
      return number(time.day, 2, zero);
    case 'e':
      return number(time.day, 2, zero == '\0' ? '\0' : ' ');
    case 'H':
      return number(time.hour, 2, zero);
    case 'I':
      return number((time.hour + 11) % 12 + 1, 2, zero);
    case 'M':
      return number(time.minute, 2, zero);
    case 'S':
      return number(time.second, 2, zero);
    case 'j':
      return number(day_of_year(time), 3, zero);
    default:
      return name_of(time, directive);
  }
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

std::string format_time(const CivilTime& time, std::string_view format) {
  if (!is_valid(time)) {
    throw DataError("strftime: the date given is not a date of the calendar");
  }
  std::string out;
  for (std::size_t i = 0; i < format.size(); ++i) {
    if (format[i] != '%') {
      out += format[i];
      continue;
    }
    const bool bare = format.substr(i + 1).starts_with('-');
    i += bare ? 2 : 1;
    if (i >= format.size()) {
      throw DataError("strftime: the format ends inside a directive");
    }
    out += format[i] == '%' ? "%" : directive_text(time, format[i], bare ? '\0' : '0');
  }
  return out;
}

}  // namespace inlay
