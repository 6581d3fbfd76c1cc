// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>

#include "core/types.h"

/// Numbers out of text, by the rules of Python's int() and float() (ASCII digits only).
namespace inlay::jinja {

struct ParsedInteger {
  std::optional<i64> value;
  /// It is an integer, but one beyond 64 bits.
  bool too_large = false;
};
/// Base 2 to 36; a prefix 0b, 0o, 0x is allowed for its own base.
ParsedInteger parse_integer(std::string_view text, i64 base);

std::optional<double> parse_float(std::string_view text);

}  // namespace inlay::jinja
