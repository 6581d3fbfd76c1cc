// SPDX-License-Identifier: Apache-2.0
#include "data/template/builtins.h"

#include <algorithm>
#include <array>
#include <string>

#include "core/error.h"

namespace inlay::jinja {
namespace {

/// Jinja's own filters that inlay does not have, so that the error can say so.
constexpr std::string_view kOtherFilters[] = {"random", "urlize"};

/// str, int and float in Python 3, without what the tables have.
constexpr std::string_view kOtherStringMethods[] = {"encode"};
constexpr std::string_view kOtherNumberMethods[] = {"as_integer_ratio", "from_bytes", "fromhex",
                                                    "hex", "to_bytes"};
constexpr std::string_view kDictChanges[] = {"clear", "pop", "popitem", "setdefault", "update"};
constexpr std::string_view kListChanges[] = {"append", "clear",  "extend",  "insert",
                                             "pop",    "remove", "reverse", "sort"};

template <class Names>
bool has(const Names& names, std::string_view name) {
  return std::find(std::begin(names), std::end(names), name) != std::end(names);
}

void add_names(std::vector<std::string_view>& names, const std::vector<Builtin>& table) {
  for (const Builtin& row : table) {
    names.push_back(row.name);
  }
}

std::array<const std::vector<Builtin>*, 6> filter_tables() {
  return {&text_filters(),     &layout_filters(), &html_filters(),
          &sequence_filters(), &wrap_filters(),   &grouping_filters()};
}

}  // namespace

const Builtin* find_builtin(const std::vector<Builtin>& table, std::string_view name) {
  const auto found = std::find_if(table.begin(), table.end(),
                                  [&](const Builtin& row) { return row.name == name; });
  return found == table.end() ? nullptr : &*found;
}

const Builtin* find_filter(std::string_view name) {
  for (const auto* table : filter_tables()) {
    if (const Builtin* found = find_builtin(*table, name)) {
      return found;
    }
  }
  return nullptr;
}

std::string refused_method(const Value& object, std::string_view name) {
  const bool string = object.is(Kind::kString) && has(kOtherStringMethods, name);
  const bool number = object.is_number() && has(kOtherNumberMethods, name);
  if (string || number) {
    return str("the method ", name, " of ", object.type_name(), " is not supported");
  }
  const bool changes = (object.is(Kind::kDict) && has(kDictChanges, name)) ||
                       (object.is(SequenceKind::kList) && has(kListChanges, name));
  return changes ? str("the method ", name, " would change ", object.type_name(),
                       ", which a template may not do; use a namespace or +")
                 : "";
}

bool jinja_has_filter(std::string_view name) {
  return find_filter(name) != nullptr || has(kOtherFilters, name);
}

bool jinja_has_test(std::string_view name) {
  return find_test(name) != nullptr;
}

std::string no_such_filter(std::string_view name) {
  if (has(kOtherFilters, name)) {
    return str("the filter \"", name, "\" is not supported");
  }
  std::vector<std::string_view> known;
  for (const auto* table : filter_tables()) {
    add_names(known, *table);
  }
  return str("unknown filter \"", printable(name), "\"", did_you_mean(name, known));
}

std::string no_such_test(std::string_view name) {
  std::vector<std::string_view> known;
  add_names(known, tests());
  return str("unknown test \"", printable(name), "\"", did_you_mean(name, known));
}

}  // namespace inlay::jinja
