// SPDX-License-Identifier: Apache-2.0
#include "data/template/operators.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "data/template/access.h"
#include "data/template/markup.h"
#include "data/template/string_format.h"
#include "data/template/text_forms.h"

namespace inlay::jinja {
namespace {

[[noreturn]] void fail_overflow(Runtime& runtime, Operator op) {
  runtime.fail(str("the result of ", text_of(op), " does not fit in a 64-bit integer"));
}

/// Python's // and %: the quotient is rounded towards minus infinity, the remainder takes the
/// divisor's sign. b is neither 0 nor -1.
i64 floor_divide(i64 a, i64 b) {
  return a / b - (a % b != 0 && (a % b < 0) != (b < 0) ? 1 : 0);
}
i64 floor_remainder(i64 a, i64 b) {
  return a % b + (a % b != 0 && (a % b < 0) != (b < 0) ? b : 0);
}

i64 integer_power(Runtime& runtime, i64 base, i64 exponent) {
  i64 result = 1;
  while (exponent > 0) {
    if (exponent % 2 == 1 && __builtin_mul_overflow(result, base, &result)) {
      fail_overflow(runtime, Operator::kPower);
    }
    exponent /= 2;
    // Not after the last bit: the square that would overflow is then not needed.
    if (exponent > 0 && __builtin_mul_overflow(base, base, &base)) {
      fail_overflow(runtime, Operator::kPower);
    }
  }
  return result;
}

Value integer_arithmetic(Runtime& runtime, Operator op, i64 a, i64 b) {
  i64 result = 0;
  bool overflow = false;
  if (op == Operator::kAdd) {
    overflow = __builtin_add_overflow(a, b, &result);
  } else if (op == Operator::kSubtract) {
    overflow = __builtin_sub_overflow(a, b, &result);
  } else if (op == Operator::kMultiply) {
    overflow = __builtin_mul_overflow(a, b, &result);
  } else if (op == Operator::kPower) {
    result = integer_power(runtime, a, b);
  } else if (b == -1) {  // the one divisor whose quotient can overflow
    overflow = op == Operator::kFloorDivide && __builtin_sub_overflow(i64{0}, a, &result);
  } else if (op == Operator::kFloorDivide) {
    result = floor_divide(a, b);
  } else {
    result = floor_remainder(a, b);
  }
  if (overflow) {
    fail_overflow(runtime, op);
  }
  return Value(result);
}

/// Python's float // and %: the remainder takes the divisor's sign, the quotient is whole.
Value float_divide(Operator op, double a, double b) {
  // CPython's float_divmod, step by step: the sign of zeros and the last rounding are its own.
  double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0.0 && (b < 0) != (remainder < 0)) {
    remainder += b;
    quotient -= 1.0;
  } else if (remainder == 0.0) {
    remainder = std::copysign(0.0, b);
  }
  if (op == Operator::kModulo) {
    return Value(remainder);
  }
  if (quotient == 0.0) {
    return Value(std::copysign(0.0, a / b));
  }
  const double whole = std::floor(quotient);
  return Value(quotient - whole > 0.5 ? whole + 1.0 : whole);
}

Value float_arithmetic(Runtime& runtime, Operator op, double a, double b) {
  if (op == Operator::kAdd) {
    return Value(a + b);
  }
  if (op == Operator::kSubtract) {
    return Value(a - b);
  }
  if (op == Operator::kMultiply) {
    return Value(a * b);
  }
  if (op == Operator::kDivide) {
    return Value(a / b);
  }
  if (op != Operator::kPower) {
    return float_divide(op, a, b);
  }
  const double result = std::pow(a, b);
  if (!std::isfinite(result) && std::isfinite(a) && std::isfinite(b)) {
    runtime.fail(str(float_text(a), " ** ", float_text(b), " is not a finite real number"));
  }
  return Value(result);
}

Value number_arithmetic(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  const bool divides =
      op == Operator::kDivide || op == Operator::kFloorDivide || op == Operator::kModulo;
  if (divides && b.as_float() == 0.0) {
    runtime.fail("division by zero");
  }
  const bool in_floats = op == Operator::kDivide || !a.is_integral() || !b.is_integral() ||
                         (op == Operator::kPower && b.as_int() < 0);
  return in_floats ? float_arithmetic(runtime, op, a.as_float(), b.as_float())
                   : integer_arithmetic(runtime, op, a.as_int(), b.as_int());
}

bool is_repeatable(const Value& value) {
  return value.is(Kind::kString) || value.is(SequenceKind::kList) || value.is(SequenceKind::kTuple);
}

Value repeat(Runtime& runtime, const Value& value, i64 times) {
  times = std::max<i64>(times, 0);
  const bool text = value.is(Kind::kString);
  const std::size_t unit = text ? value.as_string().size() : value.items().size();
  i64 total = 0;
  if (__builtin_mul_overflow(static_cast<i64>(unit), times, &total)) {
    fail_overflow(runtime, Operator::kMultiply);
  }
  if (unit == 0) {
    return value;
  }
  if (text) {
    // Before it is made: a template can ask for "x" * 10**15.
    runtime.check_text(static_cast<std::size_t>(total));
    std::string out;
    out.reserve(static_cast<std::size_t>(total));
    for (i64 i = 0; i < times; ++i) {
      out += value.as_string();
    }
    return value.is_markup() ? runtime.markup(std::move(out)) : runtime.text(std::move(out));
  }
  runtime.charge(total);
  std::vector<Value> items;
  for (i64 i = 0; i < times; ++i) {
    items.insert(items.end(), value.items().begin(), value.items().end());
  }
  return runtime.sequence(value.as_sequence().kind, std::move(items));
}

Value concatenate(Runtime& runtime, const Value& a, const Value& b) {
  if (a.is(Kind::kString)) {
    runtime.check_text(a.as_string().size() + b.as_string().size());
    if (a.is_markup() || b.is_markup()) {
      return runtime.markup(escaped(runtime, a).as_string() + escaped(runtime, b).as_string());
    }
    return runtime.text(a.as_string() + b.as_string());
  }
  runtime.charge(a.items());
  std::vector<Value> items = a.items();
  items.insert(items.end(), b.items().begin(), b.items().end());
  return runtime.sequence(a.as_sequence().kind, std::move(items));
}

bool same_concatenable(const Value& a, const Value& b) {
  return is_repeatable(a) && a.kind() == b.kind() &&
         (a.is(Kind::kString) || a.as_sequence().kind == b.as_sequence().kind);
}

bool equal_items(Runtime& runtime, const Value& a, const Value& b) {
  return std::equal(a.items().begin(), a.items().end(), b.items().begin(), b.items().end(),
                    [&](const Value& x, const Value& y) { return equal(runtime, x, y); });
}

bool equal_dicts(Runtime& runtime, const Dict& a, const Dict& b) {
  return a.entries().size() == b.entries().size() &&
         std::all_of(a.entries().begin(), a.entries().end(), [&](const Dict::Entry& entry) {
           const Value* other = b.find(entry.first);
           return other != nullptr && equal(runtime, entry.second, *other);
         });
}

bool is_nan(const Value& value) {
  return value.is(Kind::kFloat) && std::isnan(value.as_float());
}

bool ordered(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  const int order = compare(runtime, a, b);
  if (is_nan(a) || is_nan(b)) {
    return false;
  }
  return op == Operator::kLess        ? order < 0
         : op == Operator::kLessEqual ? order <= 0
         : op == Operator::kGreater   ? order > 0
                                      : order >= 0;
}

bool sequence_contains(Runtime& runtime, const Value& container, const Value& item) {
  if (container.is(SequenceKind::kIterator)) {  // what comes behind the item stays to be taken
    const Sequence& sequence = container.as_sequence();
    while (sequence.taken < sequence.items.size()) {
      if (equal(runtime, sequence.items[sequence.taken++], item)) {
        return true;
      }
    }
    return false;
  }
  const std::vector<Value> items = iterate(runtime, container);
  return std::any_of(items.begin(), items.end(),
                     [&](const Value& other) { return equal(runtime, other, item); });
}

}  // namespace

Value arithmetic(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  runtime.check_defined(a);
  if (op == Operator::kModulo && a.is(Kind::kString)) {
    return format_percent(runtime, a, b);
  }
  runtime.check_defined(b);
  if (a.is_number() && b.is_number()) {
    return number_arithmetic(runtime, op, a, b);
  }
  if (op == Operator::kAdd && same_concatenable(a, b)) {
    return concatenate(runtime, a, b);
  }
  if (op == Operator::kMultiply && is_repeatable(a) && b.is_integral()) {
    return repeat(runtime, a, b.as_int());
  }
  if (op == Operator::kMultiply && is_repeatable(b) && a.is_integral()) {
    return repeat(runtime, b, a.as_int());
  }
  runtime.fail(str(a.type_name(), " ", text_of(op), " ", b.type_name(), " is not possible",
                   op == Operator::kAdd ? "; ~ joins anything as text" : ""));
}

Value signed_number(Runtime& runtime, Operator op, const Value& value) {
  runtime.check_defined(value);
  if (!value.is_number()) {
    runtime.fail(str(text_of(op), " needs a number, not ", value.type_name()));
  }
  if (!value.is_integral()) {
    return Value(op == Operator::kSubtract ? -value.as_float() : value.as_float());
  }
  return integer_arithmetic(runtime, op, 0, value.as_int());
}

bool equal(Runtime& runtime, const Value& a, const Value& b) {
  runtime.charge(1);
  if (a.is_number() && b.is_number()) {
    return !is_nan(a) && !is_nan(b) && compare_numbers(a, b) == 0;
  }
  if (a.kind() != b.kind()) {
    return false;
  }
  switch (a.kind()) {
    case Kind::kUndefined:
    case Kind::kNone:
      return true;
    case Kind::kString:
      runtime.charge_text(a.as_string().size());
      return a.as_string() == b.as_string();
    case Kind::kSequence:
      return a.same_object(b) ||
             (a.as_sequence().kind == b.as_sequence().kind && equal_items(runtime, a, b));
    case Kind::kDict:
      return a.same_object(b) || equal_dicts(runtime, a.as_dict(), b.as_dict());
    default:
      return a.same_object(b);
  }
}

int compare(Runtime& runtime, const Value& a, const Value& b) {
  runtime.charge(1);
  runtime.check_defined(a);
  runtime.check_defined(b);
  if (a.is_number() && b.is_number()) {
    return compare_numbers(a, b);
  }
  if (a.is(Kind::kString) && b.is(Kind::kString)) {
    runtime.charge_text(std::min(a.as_string().size(), b.as_string().size()));
    return a.as_string().compare(b.as_string());  // UTF-8 sorts as its code points do
  }
  if (!same_concatenable(a, b)) {
    runtime.fail(str(a.type_name(), " and ", b.type_name(), " have no order"));
  }
  const std::size_t common = std::min(a.items().size(), b.items().size());
  for (std::size_t i = 0; i < common; ++i) {
    if (!equal(runtime, a.items()[i], b.items()[i])) {
      return compare(runtime, a.items()[i], b.items()[i]);
    }
  }
  return static_cast<int>(a.items().size() > common) - static_cast<int>(b.items().size() > common);
}

bool compares(Runtime& runtime, Operator op, const Value& a, const Value& b) {
  if (op == Operator::kEqual || op == Operator::kNotEqual) {
    return equal(runtime, a, b) == (op == Operator::kEqual);
  }
  if (op == Operator::kIn || op == Operator::kNotIn) {
    return contains(runtime, b, a) == (op == Operator::kIn);
  }
  return ordered(runtime, op, a, b);
}

bool contains(Runtime& runtime, const Value& container, const Value& item) {
  switch (container.kind()) {
    case Kind::kUndefined:
      return false;
    case Kind::kString:
      if (!item.is(Kind::kString)) {
        runtime.fail(str("a string can contain a string only, not ", item.type_name()));
      }
      runtime.charge_search(container.as_string().size(), item.as_string().size());
      return container.as_string().find(item.as_string()) != std::string::npos;
    case Kind::kSequence:
      return sequence_contains(runtime, container, item);
    case Kind::kDict:
      if (!Dict::can_be_key(item)) {
        runtime.fail(str(item.type_name(), " cannot be a key of a dict"));
      }
      return container.as_dict().find(item) != nullptr;
    default:
      runtime.fail(str("`in` needs a string, a list or a dict, not ", container.type_name()));
  }
}

}  // namespace inlay::jinja
