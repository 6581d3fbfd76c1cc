// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "core/error.h"
#include "data/template/access.h"
#include "data/template/builtins.h"
#include "data/template/operators.h"

/// Python's methods of dict, list, tuple and numbers that leave their object as it is.
namespace inlay::jinja {
namespace {

Value get_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value& key = arguments[0];
  if (!Dict::can_be_key(key)) {
    runtime.fail(str("get: ", key.type_name(), " cannot be a key of a dict"));
  }
  const Value* found = self.as_dict().find(key);
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
  const auto size = static_cast<i64>(items.size());
  const auto bound = [&](std::size_t i, i64 otherwise) {
    const i64 at = arguments.integer(i, otherwise, "a bound");
    return std::clamp<i64>(at < 0 ? at + size : at, 0, size);
  };
  const auto end = items.begin() + std::max(bound(1, 0), bound(2, size));
  const auto found = std::find_if(items.begin() + bound(1, 0), end, [&](const Value& item) {
    return equal(runtime, item, arguments[0]);
  });
  if (found == end) {
    runtime.fail("index: the value is not in the list");
  }
  return Value(static_cast<i64>(found - items.begin()));
}

/// The same value: what cannot change needs no copy.
Value copy_method(Runtime& /*runtime*/, const Value& self, const Arguments& /*arguments*/) {
  return self;
}

Value count_item_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const auto& items = self.items();
  return Value(static_cast<i64>(std::count_if(items.begin(), items.end(), [&](const Value& item) {
    return equal(runtime, item, arguments[0]);
  })));
}

u64 magnitude(Runtime& runtime, const Value& self, std::string_view method) {
  if (!self.is_integral()) {
    runtime.fail(str("a float has no ", method));
  }
  const i64 value = self.as_int();
  return value < 0 ? -static_cast<u64>(value) : static_cast<u64>(value);
}

Value bit_count_method(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return Value(std::popcount(magnitude(runtime, self, "bit_count")));
}

Value bit_length_method(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return Value(static_cast<int>(std::bit_width(magnitude(runtime, self, "bit_length"))));
}

Value is_integer_method(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  if (!self.is(Kind::kFloat)) {
    runtime.fail(str(self.type_name(), " has no method is_integer"));
  }
  return Value(std::isfinite(self.as_float()) && std::floor(self.as_float()) == self.as_float());
}

}  // namespace

Value dict_from_keys(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  Dict dict;
  for (const Value& key : iterate(runtime, arguments[0])) {
    if (!Dict::can_be_key(key)) {
      runtime.fail(str(key.type_name(), " cannot be a key of a dict"));
    }
    dict.set(key, arguments.get(1) != nullptr ? arguments[1] : Value());
  }
  return runtime.dict(std::move(dict));
}

const std::vector<Builtin>& dict_methods() {
  static const std::vector<Builtin> table = {
      {"copy", {}, copy_method},
      {"fromkeys", {{"iterable", "value"}, 1}, dict_from_keys},
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
      {"index", {{"value", "start", "stop"}, 1}, index_method},
  };
  return table;
}

const std::vector<Builtin>& list_methods() {
  static const std::vector<Builtin> table = {{"copy", {}, copy_method}};
  return table;
}

const std::vector<Builtin>& number_methods() {
  static const std::vector<Builtin> table = {
      {"bit_count", {}, bit_count_method},
      {"bit_length", {}, bit_length_method},
      {"conjugate", {}, copy_method},
      {"is_integer", {}, is_integer_method},
  };
  return table;
}

}  // namespace inlay::jinja
