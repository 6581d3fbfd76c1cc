// SPDX-License-Identifier: Apache-2.0
#include "data/template/civil_time.h"

#include <gtest/gtest.h>

#include <string>

#include "tests/data/template/golden.h"

namespace inlay {
namespace {

TEST(CivilTime, PrintsAsPythonDoes) {
  const CivilTime time = CivilTime::parse("2024-02-09T13:04:05");
  EXPECT_EQ(format_time(time, "%Y-%m-%d %H:%M:%S"), "2024-02-09 13:04:05");
  EXPECT_EQ(format_time(time, "%a %A %b %B %p %j %y %I %e|"),
            "Fri Friday Feb February PM 040 24 01  9|");
  EXPECT_EQ(format_time(time, "%-d %-m %-H %-I %-j %-y"), "9 2 13 1 40 24");
  EXPECT_EQ(format_time(time, "%F %T %%"), "2024-02-09 13:04:05 %");
  EXPECT_EQ(format_time(CivilTime::parse("2023-12-31"), "%I %p %j"), "12 AM 365");
  EXPECT_EQ(format_time(CivilTime::parse("2024-12-31"), "%j %a"), "366 Tue");
}

TEST(CivilTime, IsWrittenAsItIsRead) {
  EXPECT_EQ(CivilTime::parse("2024-02-09").text(), "2024-02-09T00:00:00");
  const std::string now = CivilTime::now().text();
  EXPECT_EQ(CivilTime::parse(now).text(), now);
}

TEST(CivilTime, RefusesWhatIsNoDate) {
  for (const std::string text :
       {"", "2024", "2024-13-01", "2023-02-29", "2024-1-1", "2024-01-01 ", "2024-01-01T24:00:00",
        "2024-01-01T10:00", "0000-01-01", "+024-01-01", "2024/01/01"}) {
    EXPECT_EQ(data_error([&] { CivilTime::parse(text); }),
              "\"" + text + "\" is not a date: expected 2025-01-31 or 2025-01-31T12:30:00");
  }
}

TEST(CivilTime, RefusesUnknownDirectives) {
  const CivilTime time = CivilTime::parse("2024-02-09");
  EXPECT_EQ(
      data_error([&] { format_time(time, "%q"); }),
      "strftime: unknown directive \"%q\" (known: those of Python in the C locale, such as %d "
      "%b %Y)");
  EXPECT_NE(data_error([&] { format_time(time, "%999999999d"); }), "");
  EXPECT_NE(data_error([&] { format_time(time, "%s"); }), "");  // hangs on the time zone
  EXPECT_EQ(data_error([&] { format_time(time, "a%"); }),
            "strftime: the format ends inside a directive");
  EXPECT_EQ(data_error([&] { format_time({.month = 13}, "%b"); }),
            "strftime: the date given is not a date of the calendar");
}

}  // namespace
}  // namespace inlay
