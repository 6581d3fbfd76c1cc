// SPDX-License-Identifier: Apache-2.0
#include "core/memory/byte_text.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdio>

#include "core/error.h"

namespace inlay {
namespace {

struct ByteUnit {
  std::string_view name;  // in small letters
  double bytes;
};

constexpr ByteUnit kByteUnits[] = {{"b", 1.0},      {"kb", 1e3},     {"mb", 1e6},
                                   {"gb", 1e9},     {"tb", 1e12},    {"kib", 0x1p10},
                                   {"mib", 0x1p20}, {"gib", 0x1p30}, {"tib", 0x1p40}};
constexpr double kMaxByteCount = 0x1p62;

std::string in_units(const char* format, double value) {
  char text[64];
  std::snprintf(text, sizeof text, format, value);
  return text;
}

}  // namespace

std::string readable_bytes(i64 bytes) {
  const double b = static_cast<double>(bytes);
  if (b >= 1e9) {
    return in_units("%.2f GB", b / 1e9);
  }
  if (b >= 1e6) {
    return in_units("%.1f MB", b / 1e6);
  }
  return bytes >= 1000 ? in_units("%.0f kB", b / 1e3) : str(bytes, " B");
}

std::optional<i64> bytes_from_text(std::string_view text) {
  double number = 0.0;
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), number, std::chars_format::fixed);
  std::string unit(end, text.data() + text.size());
  unit.erase(0, unit.find_first_not_of(' '));
  std::ranges::transform(unit, unit.begin(), [](unsigned char c) { return std::tolower(c); });
  const auto* known = std::ranges::find(kByteUnits, unit, &ByteUnit::name);
  if (error != std::errc() || known == std::end(kByteUnits) || !(number >= 0.0) ||
      number * known->bytes > kMaxByteCount) {
    return {};
  }
  return static_cast<i64>(number * known->bytes);
}

}  // namespace inlay
