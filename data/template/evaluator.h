// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "data/template/runtime.h"
#include "data/template/syntax.h"

namespace inlay::jinja {

/// Where the body of a {% generation %} block came to stand: bytes [begin, end) of the output.
struct GeneratedRange {
  std::size_t begin = 0, end = 0;
  /// The items at which the loops around the block were, innermost first.
  std::vector<Value> loop_items;
};

struct Rendered {
  std::string text;
  std::vector<GeneratedRange> generations;  // in order
  /// A generation block was printed inside a macro or a set block, whose text may be moved, changed
  /// or dropped: `generations` is not to be trusted. The line of the first, or 0.
  int captured_generation_line = 0;
};

/// Runs a parsed template with the variables of `context`, a dict.
Rendered evaluate(const Block& block, const Value& context, std::string_view name,
                  const RenderOptions& options);

}  // namespace inlay::jinja
