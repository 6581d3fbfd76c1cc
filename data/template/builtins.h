// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "data/template/call.h"

/// The tables of everything a template can name without defining it. To add an entry, add a row.
namespace inlay::jinja {

// builtins_string.cc, builtins_container.cc: what stands behind a value's dot.
const std::vector<Builtin>& string_methods();
const std::vector<Builtin>& dict_methods();
const std::vector<Builtin>& sequence_methods();
/// Names of Python's methods that inlay refuses, with the reason: those that would change their
/// object, which the sandbox forbids, and those it does not have.
enum class Refused { kNo, kChangesItsObject, kNotSupported };
Refused refused_method(Kind kind, std::string_view name);

// filters_text.cc, filters_sequence.cc, tests.cc, functions.cc
const std::vector<Builtin>& text_filters();
const std::vector<Builtin>& sequence_filters();
const std::vector<Builtin>& tests();
const std::vector<Builtin>& functions();

/// The row of that name, or nullptr.
const Builtin* find_builtin(const std::vector<Builtin>& table, std::string_view name);
const Builtin* find_filter(std::string_view name);
inline const Builtin* find_test(std::string_view name) {
  return find_builtin(tests(), name);
}

/// Why there is no filter or test of that name: `unknown filter "trimm" (did you mean "trim"?)`, or
/// that Jinja has one but inlay does not.
std::string no_such_filter(std::string_view name);
std::string no_such_test(std::string_view name);

}  // namespace inlay::jinja
