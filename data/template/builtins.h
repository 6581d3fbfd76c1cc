// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "data/template/call.h"

/// The tables of everything a template can name without defining it. To add an entry, add a row.
namespace inlay::jinja {

// builtins_string.cc, builtins_container.cc: what stands behind a value's dot.
const std::vector<Builtin>& string_methods();
const std::vector<Builtin>& layout_methods();  // of strings too: builtins_layout.cc
const std::vector<Builtin>& dict_methods();
const std::vector<Builtin>& sequence_methods();
const std::vector<Builtin>& list_methods();  // beside those of all sequences
const std::vector<Builtin>& number_methods();
/// Why a value has no such method although Python's has one: it would change its object, which the
/// sandbox forbids, or inlay does not have it. "" for any other name.
std::string refused_method(const Value& object, std::string_view name);

/// dict.fromkeys, a method of dicts and of the function `dict`.
Value dict_from_keys(Runtime& runtime, const Value& self, const Arguments& arguments);

// filters_….cc, tests.cc, functions.cc
const std::vector<Builtin>& text_filters();
const std::vector<Builtin>& layout_filters();
const std::vector<Builtin>& html_filters();
const std::vector<Builtin>& sequence_filters();
const std::vector<Builtin>& wrap_filters();
const std::vector<Builtin>& grouping_filters();
const std::vector<Builtin>& tests();
const std::vector<Builtin>& functions();

/// The row of that name, or nullptr.
const Builtin* find_builtin(const std::vector<Builtin>& table, std::string_view name);
const Builtin* find_filter(std::string_view name);
inline const Builtin* find_test(std::string_view name) {
  return find_builtin(tests(), name);
}

/// Whether Jinja has a filter or test of that name, be it one that inlay does not have.
bool jinja_has_filter(std::string_view name);
bool jinja_has_test(std::string_view name);

/// Why there is no filter or test of that name: `unknown filter "trimm" (did you mean "trim"?)`, or
/// that Jinja has one but inlay does not.
std::string no_such_filter(std::string_view name);
std::string no_such_test(std::string_view name);

}  // namespace inlay::jinja
