// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <utility>

#include "core/error.h"
#include "data/template/builtins.h"
#include "data/template/operators.h"

/// Python's methods of dict, list and tuple that leave their object as it is.
namespace inlay::jinja {
namespace {

Value get_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value& key = arguments[0];
  if (!Dict::can_be_key(key) && !key.is(Kind::kUndefined)) {
    runtime.fail(str("get: ", key.type_name(), " cannot be a key of a dict"));
  }
  const Value* found = key.is(Kind::kUndefined) ? nullptr : self.as_dict().find(key);
  return found != nullptr ? *found : arguments.get(1) != nullptr ? arguments[1] : Value();
}

/// keys(), values() and items(): one value made of each entry.
template <Value (*part)(const Dict::Entry&)>
Value view_method(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  std::vector<Value> parts;
  parts.reserve(self.as_dict().entries().size());
  for (const Dict::Entry& entry : self.as_dict().entries()) {
    parts.push_back(part(entry));
  }
  return runtime.sequence(SequenceKind::kView, std::move(parts));
}

Value key_of(const Dict::Entry& entry) {
  return entry.first;
}
Value value_of(const Dict::Entry& entry) {
  return entry.second;
}
Value pair_of(const Dict::Entry& entry) {
  return Value::sequence(SequenceKind::kTuple, {entry.first, entry.second});
}

Value index_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const auto& items = self.items();
  const auto found = std::find_if(items.begin(), items.end(), [&](const Value& item) {
    return equal(runtime, item, arguments[0]);
  });
  if (found == items.end()) {
    runtime.fail("index: the value is not in the list");
  }
  return Value(static_cast<i64>(found - items.begin()));
}

Value count_item_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const auto& items = self.items();
  return Value(static_cast<i64>(std::count_if(items.begin(), items.end(), [&](const Value& item) {
    return equal(runtime, item, arguments[0]);
  })));
}

}  // namespace

const std::vector<Builtin>& dict_methods() {
  static const std::vector<Builtin> table = {
      {"get", {{"key", "default"}, 1}, get_method},
      {"items", {}, view_method<pair_of>},
      {"keys", {}, view_method<key_of>},
      {"values", {}, view_method<value_of>},
  };
  return table;
}

const std::vector<Builtin>& sequence_methods() {
  static const std::vector<Builtin> table = {
      {"count", {{"value"}, 1}, count_item_method},
      {"index", {{"value"}, 1}, index_method},
  };
  return table;
}

}  // namespace inlay::jinja
