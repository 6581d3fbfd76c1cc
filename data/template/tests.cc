// SPDX-License-Identifier: Apache-2.0
#include "core/error.h"
#include "data/template/access.h"
#include "data/template/builtins.h"
#include "data/template/case_mapping.h"
#include "data/template/operators.h"
#include "data/template/text_forms.h"

/// Jinja's tests: what may stand behind `is`.
namespace inlay::jinja {
namespace {

using Predicate = bool (*)(const Value&);

template <Predicate predicate>
Value test(Runtime& /*runtime*/, const Value& self, const Arguments& /*arguments*/) {
  return Value(predicate(self));
}

template <Kind kind>
bool is_kind(const Value& value) {
  return value.is(kind);
}
bool is_defined(const Value& value) {
  return !value.is(Kind::kUndefined);
}
bool is_true(const Value& value) {
  return value.is(Kind::kBool) && value.as_bool();
}
bool is_false(const Value& value) {
  return value.is(Kind::kBool) && !value.as_bool();
}
bool is_number(const Value& value) {
  return value.is_number();
}
/// Jinja's undefined value has all of Python's protocols, each of which fails when used: that makes
/// it callable and a sequence here.
bool is_callable(const Value& value) {
  return value.is(Kind::kCallable) || value.is(Kind::kLoop) || value.is(Kind::kUndefined);
}
/// What has a length and can be subscripted.
bool is_sequence(const Value& value) {
  const bool subscripted = value.is(Kind::kSequence) && !value.is(SequenceKind::kView) &&
                           !value.is(SequenceKind::kIterator);
  return subscripted || value.is(Kind::kString) || value.is(Kind::kDict) ||
         value.is(Kind::kUndefined);
}

template <LetterCase letter_case>
Value in_case(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return Value(all_in_case(to_text(runtime, self), letter_case));
}

/// self % divisor == remainder
Value leaves(Runtime& runtime, const Value& self, const Value& divisor, int remainder) {
  if (!self.is_number() && !self.is(Kind::kUndefined)) {
    runtime.fail(str("odd, even and divisibleby need a number, not ", self.type_name()));
  }
  return Value(
      equal(runtime, arithmetic(runtime, Operator::kModulo, self, divisor), Value(remainder)));
}
template <int remainder>
Value parity(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return leaves(runtime, self, Value(2), remainder);
}
Value divisibleby(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return leaves(runtime, self, arguments[0], 0);
}

bool is_escaped(const Value& value) {
  return value.is_markup();
}

/// Python's `is`. Whether equal numbers or strings are one object hangs on how Python keeps them.
Value sameas(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const Value& other = arguments[0];
  if (self.kind() != other.kind()) {
    return Value(false);
  }
  switch (self.kind()) {
    case Kind::kNone:
      return Value(true);
    case Kind::kBool:
      return Value(self.as_bool() == other.as_bool());
    case Kind::kInt:
      if (self.as_int() >= -5 && self.as_int() <= 256) {  // kept once in Python
        return Value(self.as_int() == other.as_int());
      }
      break;
    case Kind::kFloat:
    case Kind::kString:
      break;
    default:
      return Value(self.same_object(other));
  }
  if (!self.same_object(other) && equal(runtime, self, other)) {
    runtime.fail("sameas: whether equal numbers and strings are the same is not defined; use ==");
  }
  return Value(self.same_object(other));
}

template <bool (*exists)(std::string_view)>
Value names_one(Runtime& /*runtime*/, const Value& self, const Arguments& /*arguments*/) {
  return Value(self.is(Kind::kString) && exists(self.as_string()));
}

template <Operator op>
Value compares_test(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return Value(compares(runtime, op, self, arguments[0]));
}

}  // namespace

const std::vector<Builtin>& tests() {
  static const Parameters other = {{"other"}, 1};
  static const std::vector<Builtin> table = {
      {"boolean", {}, test<is_kind<Kind::kBool>>},
      {"callable", {}, test<is_callable>},
      {"defined", {}, test<is_defined>},
      {"divisibleby", {{"num"}, 1}, divisibleby},
      {"escaped", {}, test<is_escaped>},
      {"even", {}, parity<0>},
      {"false", {}, test<is_false>},
      {"filter", {}, names_one<jinja_has_filter>},
      {"float", {}, test<is_kind<Kind::kFloat>>},
      {"integer", {}, test<is_kind<Kind::kInt>>},
      {"iterable", {}, test<is_iterable>},
      {"lower", {}, in_case<LetterCase::kLower>},
      {"mapping", {}, test<is_kind<Kind::kDict>>},
      {"none", {}, test<is_kind<Kind::kNone>>},
      {"number", {}, test<is_number>},
      {"odd", {}, parity<1>},
      {"sameas", other, sameas},
      {"sequence", {}, test<is_sequence>},
      {"string", {}, test<is_kind<Kind::kString>>},
      {"test", {}, names_one<jinja_has_test>},
      {"true", {}, test<is_true>},
      {"undefined", {}, test<is_kind<Kind::kUndefined>>},
      {"upper", {}, in_case<LetterCase::kUpper>},
      {"!=", other, compares_test<Operator::kNotEqual>},
      {"ne", other, compares_test<Operator::kNotEqual>},
      {"==", other, compares_test<Operator::kEqual>},
      {"eq", other, compares_test<Operator::kEqual>},
      {"equalto", other, compares_test<Operator::kEqual>},
      {"<", other, compares_test<Operator::kLess>},
      {"lt", other, compares_test<Operator::kLess>},
      {"lessthan", other, compares_test<Operator::kLess>},
      {"<=", other, compares_test<Operator::kLessEqual>},
      {"le", other, compares_test<Operator::kLessEqual>},
      {">", other, compares_test<Operator::kGreater>},
      {"gt", other, compares_test<Operator::kGreater>},
      {"greaterthan", other, compares_test<Operator::kGreater>},
      {">=", other, compares_test<Operator::kGreaterEqual>},
      {"ge", other, compares_test<Operator::kGreaterEqual>},
      {"in", {{"seq"}, 1}, compares_test<Operator::kIn>},
  };
  return table;
}

}  // namespace inlay::jinja
