// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <utility>

#include "data/template/runtime.h"
#include "data/template/value.h"

/// What filters such as sort and groupby go by.
namespace inlay::jinja {

using Keyed = std::pair<Value, Value>;  // key, item

/// The argument `attribute` of many filters: a path "a.b.0", looked up item by item. `otherwise`
/// takes the place of what is undefined on the way.
Value attribute_of(Runtime& runtime, Value item, const Value& attribute,
                   const Value* otherwise = nullptr);

/// A string in lower case, unless case counts; anything else as it is.
Value ignoring_case(Runtime& runtime, const Value& key, bool case_sensitive);

}  // namespace inlay::jinja
