// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "data/template/syntax.h"

namespace inlay::jinja {

struct ParsedTemplate {
  Block block;
  /// Whether strftime_now is named anywhere, and whether there is a {% generation %} block.
  bool reads_date = false, has_generation = false;
};

/// Parses a whole template. Throws DataError `name: line 3: …` for what is not Jinja and for what
/// Jinja has and inlay does not: tags, filters, tests and arguments are all judged here, whether or
/// not a rendering would reach them.
ParsedTemplate parse_template(std::string_view source, std::string_view name);

}  // namespace inlay::jinja
