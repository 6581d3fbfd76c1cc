// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

/// The date a template may ask for. It is always given by the caller, who reads the clock once and
/// writes down what it said: a run that read it again could not be repeated.
namespace inlay {

struct CivilTime {
  int year = 1970, month = 1, day = 1;
  int hour = 0, minute = 0, second = 0;

  /// Reads "2025-01-31" or "2025-01-31T12:30:00". Throws DataError for anything else.
  static CivilTime parse(std::string_view iso);
  /// This moment by the clock and time zone of the machine.
  static CivilTime now();
  /// "2025-01-31T12:30:00", as parse() reads it.
  std::string text() const;
};

/// `time` as Python's datetime.strftime writes it on Linux in the C locale: all letters of glibc's
/// strftime, with its flags - _ 0 ^ # and widths, and Python's %f. A time without a zone, as here,
/// gives nothing for %z and %Z. Throws DataError naming the directive for any other.
std::string format_time(const CivilTime& time, std::string_view format);

}  // namespace inlay
