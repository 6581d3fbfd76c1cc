// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>
#include <vector>

#include "data/template/runtime.h"
#include "data/template/value.h"

/// Looking into values: value.name, value[index], value[a:b:c], and walking over them.
namespace inlay::jinja {

/// object.name: a method or attribute first, then a key of that name, else undefined. Fails for an
/// undefined object.
Value get_attribute(Runtime& runtime, const Value& object, std::string_view name);

/// What Python finds as an attribute of that name, methods included; a key of a dict is none. What
/// the sandbox keeps from templates is undefined with that reason.
std::optional<Value> find_attribute(Runtime& runtime, const Value& object, std::string_view name);

/// object[index]: the item first, then an attribute of that name, else undefined.
Value get_item(Runtime& runtime, const Value& object, const Value& index);

/// object[start:stop:step]; a none leaves its end open.
Value get_slice(Runtime& runtime, const Value& object, const Value& start, const Value& stop,
                const Value& step);

/// What `for` meets: characters, items, keys, and what is left of an iterator, which is taken.
/// Fails for what cannot be walked.
std::vector<Value> iterate(Runtime& runtime, const Value& value);
bool is_iterable(const Value& value);

/// len(value), or fails for what has none.
i64 length_of(Runtime& runtime, const Value& value);

}  // namespace inlay::jinja
