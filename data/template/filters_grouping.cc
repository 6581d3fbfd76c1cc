// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>

#include "core/error.h"
#include "data/template/access.h"
#include "data/template/builtins.h"
#include "data/template/operators.h"
#include "data/template/sequence_keys.h"

/// Jinja's filters that cut sequences into parts.
namespace inlay::jinja {
namespace {

Value batch(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const i64 size = arguments.integer(0, 0, "the size of a batch");
  const std::vector<Value> items = iterate(runtime, self);
  std::vector<Value> batches;
  std::vector<Value> batch;
  const auto finish = [&] { batches.push_back(runtime.list(std::exchange(batch, {}))); };
  for (std::size_t i = 0; i < items.size(); ++i) {
    // A size that no batch reaches, such as 0, closes each before the next item.
    if (static_cast<i64>(batch.size()) == size) {
      finish();
    }
    batch.push_back(items[i]);
  }
  if (!batch.empty()) {
    if (arguments.has(1) && size > static_cast<i64>(batch.size())) {
      runtime.charge(size);
      batch.resize(static_cast<std::size_t>(size), arguments[1]);
    }
    finish();
  }
  return runtime.sequence(SequenceKind::kIterator, std::move(batches));
}

/// So many lists of nearly equal length, the longer ones first.
Value slice(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const i64 count = arguments.integer(0, 0, "the number of slices");
  const std::vector<Value> items = iterate(runtime, self);
  if (count == 0) {
    runtime.fail("slice: the number of slices cannot be 0");
  }
  runtime.charge(std::max<i64>(count, 0));
  const auto size = static_cast<i64>(items.size());
  std::vector<Value> slices;
  i64 at = 0;
  for (i64 i = 0; i < count; ++i) {
    const i64 length = size / count + (i < size % count ? 1 : 0);
    std::vector<Value> part(items.begin() + at, items.begin() + at + length);
    if (arguments.has(1) && i >= size % count) {
      part.push_back(arguments[1]);
    }
    slices.push_back(runtime.list(std::move(part)));
    at += length;
  }
  return runtime.sequence(SequenceKind::kIterator, std::move(slices));
}

Value groupby(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value* otherwise = arguments.has(1) ? arguments.get(1) : nullptr;
  const bool case_sensitive = arguments.flag(2, false);
  const auto key_of = [&](const Value& item) {
    return attribute_of(runtime, item, arguments[0], otherwise);
  };
  std::vector<Keyed> keyed;
  for (const Value& item : iterate(runtime, self)) {
    keyed.emplace_back(ignoring_case(runtime, key_of(item), case_sensitive), item);
  }
  std::ranges::stable_sort(keyed, [&](const Keyed& a, const Keyed& b) {
    return compares(runtime, Operator::kLess, a.first, b.first);
  });
  std::vector<Value> groups;
  for (auto begin = keyed.begin(); begin != keyed.end();) {
    const auto end = std::find_if_not(begin, keyed.end(), [&](const Keyed& other) {
      return equal(runtime, begin->first, other.first);
    });
    std::vector<Value> items;
    std::transform(begin, end, std::back_inserter(items), [](const Keyed& k) { return k.second; });
    Value key = key_of(items.front());
    groups.push_back(Value::group(std::move(key), runtime.list(std::move(items))));
    begin = end;
  }
  return runtime.list(std::move(groups));
}

/// The attribute alone, where .name would also find a key.
Value attr(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string& name = arguments.string(0, "the name");
  return find_attribute(runtime, self, name)
      .value_or(
          Value::undefined(str(self.type_name(), " has no attribute \"", printable(name), "\"")));
}

}  // namespace

const std::vector<Builtin>& grouping_filters() {
  static const std::vector<Builtin> table = {
      {"attr", {{"name"}, 1}, attr},
      {"batch", {{"linecount", "fill_with"}, 1}, batch},
      {"groupby", {{"attribute", "default", "case_sensitive"}, 1}, groupby},
      {"slice", {{"slices", "fill_with"}, 1}, slice},
  };
  return table;
}

}  // namespace inlay::jinja
