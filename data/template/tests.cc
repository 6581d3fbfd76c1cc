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
  return value.is(Kind::kCallable) || value.is(Kind::kUndefined);
}
/// What has a length and can be subscripted.
bool is_sequence(const Value& value) {
  const bool subscripted = value.is(Kind::kSequence) && !value.is(SequenceKind::kView) &&
                           !value.is(SequenceKind::kIterator);
  return subscripted || value.is(Kind::kString) || value.is(Kind::kDict) ||
         value.is(Kind::kUndefined);
}

template <LetterCase letter_case>
Value case_test(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return Value(all_in_case(to_text(runtime, self), letter_case));
}

/// self % divisor == remainder
Value leaves(Runtime& runtime, const Value& self, const Value& divisor, int remainder) {
  if (!self.is_number() && !self.is(Kind::kUndefined)) {
    runtime.fail(str("odd, even and divisibleby need a number, not ", self.type_name()));
  }
  return Value(equal(runtime, arithmetic(runtime, "%", self, divisor), Value(remainder)));
}
template <int remainder>
Value parity(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return leaves(runtime, self, Value(2), remainder);
}
Value divisibleby(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return leaves(runtime, self, arguments[0], 0);
}

enum class Comparison { kEqual, kNotEqual, kLess, kLessEqual, kGreater, kGreaterEqual, kIn };
constexpr const char* kOperators[] = {"==", "!=", "<", "<=", ">", ">=", "in"};

template <Comparison comparison>
Value compares_test(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return Value(compares(runtime, kOperators[static_cast<int>(comparison)], self, arguments[0]));
}

}  // namespace

const std::vector<Builtin>& tests() {
  static const Parameters other = {{"other"}, 1};
  static const std::vector<Builtin> table = {
      {"boolean", {}, test<is_kind<Kind::kBool>>},
      {"callable", {}, test<is_callable>},
      {"defined", {}, test<is_defined>},
      {"divisibleby", {{"num"}, 1}, divisibleby},
      {"even", {}, parity<0>},
      {"false", {}, test<is_false>},
      {"float", {}, test<is_kind<Kind::kFloat>>},
      {"integer", {}, test<is_kind<Kind::kInt>>},
      {"iterable", {}, test<is_iterable>},
      {"lower", {}, case_test<LetterCase::kLower>},
      {"mapping", {}, test<is_kind<Kind::kDict>>},
      {"none", {}, test<is_kind<Kind::kNone>>},
      {"number", {}, test<is_number>},
      {"odd", {}, parity<1>},
      {"sequence", {}, test<is_sequence>},
      {"string", {}, test<is_kind<Kind::kString>>},
      {"true", {}, test<is_true>},
      {"undefined", {}, test<is_kind<Kind::kUndefined>>},
      {"upper", {}, case_test<LetterCase::kUpper>},
      {"!=", other, compares_test<Comparison::kNotEqual>},
      {"ne", other, compares_test<Comparison::kNotEqual>},
      {"==", other, compares_test<Comparison::kEqual>},
      {"eq", other, compares_test<Comparison::kEqual>},
      {"equalto", other, compares_test<Comparison::kEqual>},
      {"<", other, compares_test<Comparison::kLess>},
      {"lt", other, compares_test<Comparison::kLess>},
      {"lessthan", other, compares_test<Comparison::kLess>},
      {"<=", other, compares_test<Comparison::kLessEqual>},
      {"le", other, compares_test<Comparison::kLessEqual>},
      {">", other, compares_test<Comparison::kGreater>},
      {"gt", other, compares_test<Comparison::kGreater>},
      {"greaterthan", other, compares_test<Comparison::kGreater>},
      {">=", other, compares_test<Comparison::kGreaterEqual>},
      {"ge", other, compares_test<Comparison::kGreaterEqual>},
      {"in", {{"seq"}, 1}, compares_test<Comparison::kIn>},
  };
  return table;
}

}  // namespace inlay::jinja
