// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "core/error.h"
#include "data/template/access.h"
#include "data/template/builtins.h"
#include "data/template/case_mapping.h"
#include "data/template/operators.h"
#include "data/template/sequence_keys.h"
#include "data/template/string_search.h"
#include "data/template/text_forms.h"

/// Jinja's filters over sequences and dicts.
namespace inlay::jinja {

Value attribute_of(Runtime& runtime, Value item, const Value& attribute, const Value* otherwise) {
  if (!attribute.is(Kind::kString)) {
    return get_item(runtime, item, attribute);
  }
  for (const std::string_view part : split_on(runtime, attribute.as_string(), ".", -1, false)) {
    i64 index = 0;
    const auto number = std::from_chars(part.data(), part.data() + part.size(), index);
    const bool is_index = !part.empty() && part.front() != '-' && number.ec == std::errc() &&
                          number.ptr == part.data() + part.size();
    item = get_item(runtime, item, is_index ? Value(index) : Value(part));
    if (otherwise != nullptr && item.is(Kind::kUndefined)) {
      item = *otherwise;
    }
  }
  return item;
}

Value ignoring_case(Runtime& runtime, const Value& key, bool case_sensitive) {
  if (case_sensitive || !key.is(Kind::kString)) {
    return key;
  }
  return runtime.text(map_case(runtime, "lower", key.as_string(), LetterCase::kLower));
}

namespace {

Value iterator(Runtime& runtime, std::vector<Value> items) {
  return runtime.sequence(SequenceKind::kIterator, std::move(items));
}

/// What sort, unique, min and max go by: the attribute if there is one, in lower case unless asked
/// otherwise.
Value sort_key(Runtime& runtime, const Value& item, const Value* attribute, bool case_sensitive) {
  return ignoring_case(runtime,
                       attribute == nullptr ? item : attribute_of(runtime, item, *attribute),
                       case_sensitive);
}

/// The attributes "a,b" of `sort`, or the item itself, as a tuple: in those, equal values need no
/// order.
Value sort_keys(Runtime& runtime, const Value& item, const Value* attribute, bool case_sensitive) {
  std::vector<Value> keys;
  if (attribute == nullptr || !attribute->is(Kind::kString)) {
    keys.push_back(sort_key(runtime, item, attribute, case_sensitive));
    return runtime.sequence(SequenceKind::kTuple, std::move(keys));
  }
  for (const std::string_view part : split_on(runtime, attribute->as_string(), ",", -1, false)) {
    const Value one(part);
    keys.push_back(sort_key(runtime, item, &one, case_sensitive));
  }
  return runtime.sequence(SequenceKind::kTuple, std::move(keys));
}

std::vector<Value> sorted(Runtime& runtime, std::vector<Keyed> keyed, bool reverse) {
  // Python keeps equal items in order also when reversing.
  std::stable_sort(keyed.begin(), keyed.end(), [&](const Keyed& a, const Keyed& b) {
    return reverse ? compares(runtime, Operator::kLess, b.first, a.first)
                   : compares(runtime, Operator::kLess, a.first, b.first);
  });
  std::vector<Value> items;
  items.reserve(keyed.size());
  for (Keyed& entry : keyed) {
    items.push_back(std::move(entry.second));
  }
  return items;
}

const Value* given(const Arguments& arguments, std::size_t i) {
  return arguments.has(i) ? arguments.get(i) : nullptr;
}

Value sort(Runtime& runtime, const Value& self, const Arguments& arguments) {
  std::vector<Keyed> keyed;
  for (const Value& item : iterate(runtime, self)) {
    keyed.emplace_back(sort_keys(runtime, item, given(arguments, 2), arguments.flag(1, false)),
                       item);
  }
  return runtime.list(sorted(runtime, std::move(keyed), arguments.flag(0, false)));
}

Value dictsort(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!self.is(Kind::kDict)) {
    runtime.fail(str("dictsort: needs a dict, not ", self.type_name()));
  }
  const std::string by = arguments.get(1) == nullptr ? "key" : arguments.string(1, "by");
  if (by != "key" && by != "value") {
    runtime.fail(str("dictsort: sorts by \"key\" or \"value\", not \"", printable(by), "\""));
  }
  std::vector<Keyed> keyed;
  for (const auto& [key, value] : self.as_dict().entries()) {
    keyed.emplace_back(
        sort_key(runtime, by == "key" ? key : value, nullptr, arguments.flag(0, false)),
        Value::sequence(SequenceKind::kTuple, {key, value}));
  }
  return runtime.list(sorted(runtime, std::move(keyed), arguments.flag(2, false)));
}

Value unique(Runtime& runtime, const Value& self, const Arguments& arguments) {
  Dict seen;
  std::vector<Value> items;
  for (const Value& item : iterate(runtime, self)) {
    Value key = sort_key(runtime, item, given(arguments, 1), arguments.flag(0, false));
    if (!Dict::can_be_key(key)) {
      runtime.fail(str("unique: compares strings and numbers, not ", key.type_name()));
    }
    if (seen.find(key) == nullptr) {
      seen.set(std::move(key), Value());
      items.push_back(item);
    }
  }
  return iterator(runtime, std::move(items));
}

template <bool smallest>
Value extreme(Runtime& runtime, const Value& self, const Arguments& arguments) {
  std::vector<Keyed> keyed;
  for (const Value& item : iterate(runtime, self)) {
    keyed.emplace_back(sort_key(runtime, item, given(arguments, 1), arguments.flag(0, false)),
                       item);
  }
  if (keyed.empty()) {
    return Value::undefined(str(smallest ? "min" : "max", ": the sequence is empty"));
  }
  const Keyed* best = &keyed.front();
  for (const Keyed& entry : keyed) {
    if (compares(runtime, smallest ? Operator::kLess : Operator::kGreater, entry.first,
                 best->first)) {
      best = &entry;
    }
  }
  return best->second;
}

Value sum(Runtime& runtime, const Value& self, const Arguments& arguments) {
  Value total = arguments.get(1) != nullptr ? arguments[1] : Value(0);
  const Value* attribute = given(arguments, 0);
  for (const Value& item : iterate(runtime, self)) {
    total = arithmetic(runtime, Operator::kAdd, total,
                       attribute == nullptr ? item : attribute_of(runtime, item, *attribute));
  }
  return total;
}

Value join(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string separator = arguments.get(0) == nullptr ? "" : to_text(runtime, arguments[0]);
  std::string out;
  bool first = true;
  for (const Value& item : iterate(runtime, self)) {
    const Value part = arguments.has(1) ? attribute_of(runtime, item, arguments[1]) : item;
    out += first ? "" : separator;
    out += to_text(runtime, part);
    first = false;
    runtime.check_text(out.size());
  }
  return runtime.text(std::move(out));
}

Value list(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return runtime.list(iterate(runtime, self));
}

Value first(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  if (self.is(SequenceKind::kIterator)) {  // the others are still to come
    const Sequence& sequence = self.as_sequence();
    return sequence.taken < sequence.items.size() ? sequence.items[sequence.taken++]
                                                  : Value::undefined("first: nothing is left");
  }
  const std::vector<Value> items = iterate(runtime, self);
  return items.empty() ? Value::undefined("first: the sequence is empty") : items.front();
}

Value last(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  if (self.is(SequenceKind::kIterator)) {
    runtime.fail("last: an iterator has no end to start from; add |list before it");
  }
  const std::vector<Value> items = iterate(runtime, self);
  return items.empty() ? Value::undefined("last: the sequence is empty") : items.back();
}

Value reverse(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  if (self.is(Kind::kString)) {
    return get_slice(runtime, self, Value(), Value(), Value(-1));
  }
  std::vector<Value> items = iterate(runtime, self);
  std::reverse(items.begin(), items.end());
  // Python can walk all but an iterator backwards as they stand, and then returns an iterator.
  return self.is(SequenceKind::kIterator) ? runtime.list(std::move(items))
                                          : iterator(runtime, std::move(items));
}

Value items(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  std::vector<Value> pairs;
  if (self.is(Kind::kDict)) {
    for (const auto& [key, value] : self.as_dict().entries()) {
      pairs.push_back(Value::sequence(SequenceKind::kTuple, {key, value}));
    }
  } else if (!self.is(Kind::kUndefined)) {
    runtime.fail(str("items: needs a dict, not ", self.type_name()));
  }
  return iterator(runtime, std::move(pairs));
}

/// A filter or test named at run time, by map, select and the like.
const Builtin& named(Runtime& runtime, const Value& name, bool test) {
  if (!name.is(Kind::kString)) {
    runtime.fail(str("the name of a ", test ? "test" : "filter", " must be a string, not ",
                     name.type_name()));
  }
  const Builtin* row = test ? find_test(name.as_string()) : find_filter(name.as_string());
  if (row == nullptr) {
    runtime.fail(test ? no_such_test(name.as_string()) : no_such_filter(name.as_string()));
  }
  return *row;
}

/// The arguments behind the first `used`, for the filter or test they name.
CallArguments rest_of(const CallArguments& call, std::size_t used) {
  return {{call.positional.begin() + static_cast<std::ptrdiff_t>(used), call.positional.end()},
          call.keyword};
}

/// map and select make nothing of what is false, even if it cannot be walked over.
std::vector<Value> walk_if_true(Runtime& runtime, const Value& self) {
  return self.truthy() ? iterate(runtime, self) : std::vector<Value>();
}

Value map_attribute(Runtime& runtime, const Value& self, const CallArguments& call) {
  const Value* attribute = nullptr;
  const Value* otherwise = nullptr;
  for (const auto& [name, value] : call.keyword) {
    if (name != "attribute" && name != "default") {
      runtime.fail(str("map: unknown argument \"", printable(name), "\""));
    }
    (name == "attribute" ? attribute : otherwise) = &value;
  }
  if (attribute == nullptr) {
    runtime.fail("map: needs the name of a filter, or attribute=");
  }
  const bool has_default = otherwise != nullptr && !otherwise->is(Kind::kNone);
  std::vector<Value> out;
  for (const Value& item : walk_if_true(runtime, self)) {
    out.push_back(attribute_of(runtime, item, *attribute, has_default ? otherwise : nullptr));
  }
  return iterator(runtime, std::move(out));
}

Value map(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const CallArguments& call = arguments.call();
  if (call.positional.empty()) {
    return map_attribute(runtime, self, call);
  }
  const Builtin& filter = named(runtime, call.positional[0], /*test=*/false);
  const CallArguments rest = rest_of(call, 1);
  std::vector<Value> out;
  for (const Value& item : walk_if_true(runtime, self)) {
    out.push_back(call_builtin(runtime, filter, item, rest));
  }
  return iterator(runtime, std::move(out));
}

/// select, reject, selectattr and rejectattr.
template <bool keeps, bool by_attribute>
Value select(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const CallArguments& call = arguments.call();
  constexpr std::size_t kName = by_attribute ? 1 : 0;
  if (call.positional.size() < kName) {
    runtime.fail("selectattr and rejectattr need the name of an attribute");
  }
  const Builtin* test =
      call.positional.size() > kName ? &named(runtime, call.positional[kName], true) : nullptr;
  const CallArguments rest = rest_of(call, test == nullptr ? kName : kName + 1);
  std::vector<Value> out;
  for (const Value& item : walk_if_true(runtime, self)) {
    const Value subject = by_attribute ? attribute_of(runtime, item, call.positional[0]) : item;
    const Value passes = test == nullptr ? subject : call_builtin(runtime, *test, subject, rest);
    if (passes.truthy() == keeps) {
      out.push_back(item);
    }
  }
  return iterator(runtime, std::move(out));
}

}  // namespace

const std::vector<Builtin>& sequence_filters() {
  static const std::vector<Builtin> table = {
      {"dictsort", {{"case_sensitive", "by", "reverse"}}, dictsort},
      {"first", {}, first},
      {"items", {}, items},
      {"join", {{"d", "attribute"}}, join},
      {"last", {}, last},
      {"list", {}, list},
      {"map", Parameters::any(), map},
      {"max", {{"case_sensitive", "attribute"}}, extreme<false>},
      {"min", {{"case_sensitive", "attribute"}}, extreme<true>},
      {"reject", Parameters::any(), select<false, false>},
      {"rejectattr", Parameters::any(), select<false, true>},
      {"reverse", {}, reverse},
      {"select", Parameters::any(), select<true, false>},
      {"selectattr", Parameters::any(), select<true, true>},
      {"sort", {{"reverse", "case_sensitive", "attribute"}}, sort},
      {"sum", {{"attribute", "start"}}, sum},
      {"unique", {{"case_sensitive", "attribute"}}, unique},
  };
  return table;
}

}  // namespace inlay::jinja
