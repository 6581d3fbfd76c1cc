// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/template/operator.h"
#include "data/template/runtime.h"
#include "data/template/value.h"

/// Python's operators. Integers have 64 bits: what Python would carry into more is an error.
namespace inlay::jinja {

/// `op` is one of + - * / // % **.
Value arithmetic(Runtime& runtime, Operator op, const Value& a, const Value& b);

/// `op` is + or -.
Value signed_number(Runtime& runtime, Operator op, const Value& value);

/// a == b: never an error, whatever the types.
bool equal(Runtime& runtime, const Value& a, const Value& b);

/// Below, at or above zero as a < b, a == b, a > b. Fails for types that have no order between
/// them. Not for NaN: `compares` is.
int compare(Runtime& runtime, const Value& a, const Value& b);

/// `op` is one of == != < <= > >= in "not in".
bool compares(Runtime& runtime, Operator op, const Value& a, const Value& b);

/// `item in container`.
bool contains(Runtime& runtime, const Value& container, const Value& item);

}  // namespace inlay::jinja
