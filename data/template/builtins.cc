// SPDX-License-Identifier: Apache-2.0
#include "data/template/builtins.h"

#include <algorithm>
#include <string>

#include "core/error.h"

namespace inlay::jinja {
namespace {

/// Jinja's own filters and tests that inlay does not have, so that the error can say so.
constexpr std::string_view kOtherFilters[] = {
    "attr",     "batch",     "center", "filesizeformat", "forceescape", "format",
    "groupby",  "pprint",    "random", "round",          "slice",       "striptags",
    "truncate", "urlencode", "urlize", "wordcount",      "wordwrap",    "xmlattr"};
constexpr std::string_view kOtherTests[] = {"escaped", "filter", "sameas", "test"};

/// str, dict and list in Python 3, without what the tables have.
constexpr std::string_view kOtherStringMethods[] = {
    "casefold", "center",    "encode",       "expandtabs", "format", "format_map",
    "isascii",  "isdecimal", "isidentifier", "isnumeric",  "ljust",  "isprintable",
    "istitle",  "maketrans", "rjust",        "swapcase",   "zfill",  "translate"};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kOtherDictMethods[] = {"copy", "fromkeys"};
constexpr std::string_view kListChanges[] = {"append", "clear",  "extend",  "insert",
                                             "pop",    "remove", "reverse", "sort"};
constexpr std::string_view kOtherListMethods[] = {"copy"};

template <class Names>
bool has(const Names& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

template <class Others>
std::string no_such(std::string_view what, std::string_view name, const Others& others,
                    const std::vector<std::string_view>& known) {
  return has(others, name)
             ? str("the ", what, " \"", name, "\" is not supported")
             : str("unknown ", what, " \"", printable(name), "\"", did_you_mean(name, known));
}

void add_names(std::vector<std::string_view>& names, const std::vector<Builtin>& table) {
  for (const Builtin& row : table) {
    names.push_back(row.name);
  }
}

}  // namespace

const Builtin* find_builtin(const std::vector<Builtin>& table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Builtin& row) { return row.name == name; });
  return found == table.end() ? nullptr : &*found;
}

const Builtin* find_filter(std::string_view name) {
  const Builtin* found = find_builtin(text_filters(), name);
  return found != nullptr ? found : find_builtin(sequence_filters(), name);
}

Refused refused_method(Kind kind, std::string_view name) {
  const bool string = kind == Kind::kString && has(kOtherStringMethods, name);
  const bool dict = kind == Kind::kDict && has(kOtherDictMethods, name);
  const bool list = kind == Kind::kSequence && has(kOtherListMethods, name);
  if (string || dict || list) {
    return Refused::kNotSupported;
  }
  const bool changes = (kind == Kind::kDict && has(kDictChanges, name)) ||
                       (kind == Kind::kSequence && has(kListChanges, name));
  return changes ? Refused::kChangesItsObject : Refused::kNo;
}

std::string no_such_filter(std::string_view name) {
  std::vector<std::string_view> known;
  add_names(known, text_filters());
  add_names(known, sequence_filters());
  return no_such("filter", name, kOtherFilters, known);
}

std::string no_such_test(std::string_view name) {
  std::vector<std::string_view> known;
  add_names(known, tests());
  return no_such("test", name, kOtherTests, known);
}

}  // namespace inlay::jinja
