// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "data/template/runtime.h"
#include "data/template/value.h"

/// One value as text in a form of the author's choice: Python's format() and the directives of %.
namespace inlay::jinja {

/// [[fill]align][sign][#][0][width][grouping][.precision][type]
struct FormatSpec {
  std::string fill = " ";  // one character
  char align = '\0';       // < > ^ =, or nothing for the kind's own
  char sign = '-';         // + - or a blank
  bool alternate = false;  // #
  i64 width = 0;           // characters
  char grouping = '\0';    // , or _
  i64 precision = -1;      // none given
  char type = '\0';        // none given
};

/// Fails for what is no format specification.
FormatSpec parse_format_spec(Runtime& runtime, std::string_view text);

/// format(value, text): numbers and strings by the specification; anything else only by an empty
/// one.
std::string formatted(Runtime& runtime, const Value& value, std::string_view text);

/// The same for a number and a type of d b o x X c e E f F g G %.
std::string formatted_number(Runtime& runtime, const Value& number, const FormatSpec& spec);

/// `text` filled up to `width` characters on the left (>), the right (<) or both sides (^), where
/// the odd one goes to the right.
std::string padded(Runtime& runtime, std::string_view text, char align, i64 width,
                   std::string_view fill);

}  // namespace inlay::jinja
