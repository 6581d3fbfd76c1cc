// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "data/template/runtime.h"
#include "data/template/value.h"

/// Values as text, digit for digit as Python writes them.
namespace inlay::jinja {

/// repr(float): the shortest digits that read back as the same double.
std::string float_text(double value);

/// str(value): what {{ value }} prints. Fails for functions, loops, namespaces and iterators, whose
/// Python text is an address in memory.
std::string to_text(Runtime& runtime, const Value& value);

/// Appends repr(value), as it stands inside a printed list.
void append_repr(Runtime& runtime, std::string& out, const Value& value);

/// `text` with what is not ASCII as \x, \u and \U escapes, as Python's ascii() has it.
std::string ascii_escaped(std::string_view text);

/// The keyword arguments of json.dumps.
struct JsonStyle {
  bool ensure_ascii = false;
  bool sort_keys = false;
  std::optional<std::string> indent;  // each level's; nothing writes one line
  std::string item_separator = ", ";
  std::string key_separator = ": ";
};
std::string to_json(Runtime& runtime, const Value& value, const JsonStyle& style);

}  // namespace inlay::jinja
