// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

/// The date a template may ask for. It is always given by the caller: a run that read the clock
/// could not be repeated.
namespace inlay {

struct CivilTime {
  int year = 1970, month = 1, day = 1;
  int hour = 0, minute = 0, second = 0;

  /// Reads "2025-01-31" or "2025-01-31T12:30:00". Throws DataError for anything else.
  static CivilTime parse(std::string_view iso);
};

/// `time` as Python's strftime writes it in the C locale. Knows %Y %y %m %d %e %H %I %M %S %p %j %a
/// %A %b %B %F %T %% and, for those that pad with zeros, GNU's %-d. Throws DataError naming the
/// directive for any other.
std::string format_time(const CivilTime& time, std::string_view format);

}  // namespace inlay
