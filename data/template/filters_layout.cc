// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <utility>

#include "core/error.h"
#include "data/template/access.h"
#include "data/template/builtins.h"
#include "data/template/characters.h"
#include "data/template/format_spec.h"
#include "data/template/operators.h"
#include "data/template/string_format.h"
#include "data/template/text_forms.h"

/// Jinja's filters that shape text and numbers for readers.
namespace inlay::jinja {
namespace {

/// What soft_str makes of a value: a string stays what it is.
Value soft_string(Runtime& runtime, const Value& value) {
  return value.is(Kind::kString) ? value : runtime.text(to_text(runtime, value));
}

Value center(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const i64 width = arguments.integer(0, 80, "the width");
  const Value text = soft_string(runtime, self);
  const Value method = get_attribute(runtime, text, "center");
  return method.as_callable().call(runtime, {{Value(width)}, {}});
}

Value format(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const CallArguments& call = arguments.call();
  if (!call.positional.empty() && !call.keyword.empty()) {
    runtime.fail("format: takes values by place or by name, not both");
  }
  Value values = Value::sequence(SequenceKind::kTuple, call.positional);
  if (!call.keyword.empty()) {
    Dict dict;
    for (const auto& [name, value] : call.keyword) {
      dict.set(name, value);
    }
    values = runtime.dict(std::move(dict));
  }
  return format_percent(runtime, soft_string(runtime, self), values);
}

Value wordcount(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  const std::string text = to_text(runtime, self);
  i64 words = 0;
  bool in_word = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    const bool word = is_letter(c) || is_number_character(c) || c == '_';
    words += word && !in_word ? 1 : 0;
    in_word = word;
  }
  return Value(words);
}

/// Cut to `length` characters, the mark of it included, at a blank unless words may be cut. Texts a
/// little longer stay whole.
Value truncate(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const i64 length = arguments.integer(0, 255, "the length");
  const std::string end = arguments.get(2) == nullptr ? "..." : arguments.string(2, "the end");
  const i64 leeway = arguments.has(3) ? arguments.integer(3, 5, "the leeway") : 5;
  const i64 end_length = count_code_points(end);
  if (length < end_length || leeway < 0) {
    runtime.fail("truncate: the length must be at least that of the end, the leeway at least 0");
  }
  if (length_of(runtime, self) <= length + leeway) {
    return self;
  }
  const Value kept = get_slice(runtime, self, Value(), Value(length - end_length), Value());
  if (!kept.is(Kind::kString)) {
    runtime.fail(str("truncate: needs a string, not ", self.type_name()));
  }
  std::string text = kept.as_string();
  if (!arguments.flag(1, false)) {
    text.erase(std::min(text.rfind(' '), text.size()));
  }
  return self.is_markup() ? runtime.markup(text + end) : runtime.text(text + end);
}

Value filesizeformat(Runtime& runtime, const Value& self, const Arguments& arguments) {
  static constexpr const char* kDecimal[] = {"kB", "MB", "GB", "TB", "PB", "EB", "ZB", "YB"};
  static constexpr const char* kBinary[] = {"KiB", "MiB", "GiB", "TiB", "PiB", "EiB", "ZiB", "YiB"};
  const bool binary = arguments.flag(0, false);
  const Builtin& to_float = *find_filter("float");
  const Value number = call_builtin(runtime, to_float, self, {{Value()}, {}});
  if (!number.is(Kind::kFloat)) {
    runtime.fail(str("filesizeformat: needs a number, not ", self.type_name()));
  }
  const double bytes = number.as_float();
  const double base = binary ? 1024 : 1000;
  if (bytes == 1.0) {
    return Value("1 Byte");
  }
  if (bytes < base) {
    return Value(str(static_cast<i64>(bytes), " Bytes"));
  }
  double unit = base;
  const char* prefix = nullptr;
  for (const char* const* name = binary ? kBinary : kDecimal; unit <= bytes || prefix == nullptr;
       ++name) {
    unit *= base;
    prefix = *name;
    if (name == (binary ? std::end(kBinary) : std::end(kDecimal)) - 1) {
      break;
    }
  }
  return Value(formatted(runtime, Value(base * bytes / unit), ".1f") + " " + prefix);
}

/// The nearest multiple of 10^-digits, exactly as Python rounds: by the decimal value of the
/// double, halves to even.
double rounded(double value, i64 digits) {
  if (!std::isfinite(value) || digits > 400) {
    return value;
  }
  char buffer[800];
  if (digits >= 0) {
    std::snprintf(buffer, sizeof buffer, "%.*f", static_cast<int>(digits), value);
    return std::strtod(buffer, nullptr);
  }
  std::snprintf(buffer, sizeof buffer, "%.*e", 0, value);
  const int exponent =
      value == 0.0 ? 0 : static_cast<int>(std::floor(std::log10(std::fabs(value))));
  const i64 kept = exponent + digits;  // digits behind the first that stay
  if (kept >= 0) {
    std::snprintf(buffer, sizeof buffer, "%.*e", static_cast<int>(kept), value);
    return std::strtod(buffer, nullptr);
  }
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  return std::copysign(std::fabs(value) > unit / 2 ? unit : 0.0, value);
}

Value rounded_integer(Runtime& runtime, i64 value, i64 digits) {
  if (digits >= 0) {
    return Value(value);
  }
  i64 unit = 1;
  for (i64 i = digits; i < 0; ++i) {
    if (__builtin_mul_overflow(unit, i64{10}, &unit)) {
      return Value(0);
    }
  }
  const i64 rest = ((value % unit) + unit) % unit;
  i64 down = 0;
  if (__builtin_sub_overflow(value, rest, &down)) {
    runtime.fail("round: the result does not fit in a 64-bit integer");
  }
  const bool up = rest > unit - rest || (rest == unit - rest && (down / unit) % 2 != 0);
  if (up && __builtin_add_overflow(down, unit, &down)) {
    runtime.fail("round: the result does not fit in a 64-bit integer");
  }
  return Value(down);
}

Value round_filter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  runtime.check_defined(self);
  const std::string method =
      arguments.get(1) == nullptr ? "common" : arguments.string(1, "the method");
  if (method != "common" && method != "ceil" && method != "floor") {
    runtime.fail("round: the method must be common, ceil or floor");
  }
  if (!self.is_number()) {
    runtime.fail(str("round: needs a number, not ", self.type_name()));
  }
  // Python's round(x, none) gives an integer.
  const bool whole = arguments.get(0) != nullptr && arguments[0].is(Kind::kNone);
  const i64 digits = whole ? 0 : arguments.integer(0, 0, "the precision");
  if (method == "common") {
    if (self.is_integral()) {
      return rounded_integer(runtime, self.as_int(), digits);
    }
    const Value result(rounded(self.as_float(), digits));
    return whole ? call_builtin(runtime, *find_filter("int"), result, {}) : result;
  }
  const double scale = std::pow(10.0, static_cast<double>(digits));
  const double scaled = self.as_float() * scale;
  return Value((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / scale);
}

/// The same with the keys of all dicts in order, as pprint shows them.
Value sorted_dicts(Runtime& runtime, const Value& value) {
  if (value.is(Kind::kSequence)) {
    std::vector<Value> items;
    for (const Value& item : value.items()) {
      items.push_back(sorted_dicts(runtime, item));
    }
    return runtime.sequence(value.as_sequence().kind, std::move(items));
  }
  if (!value.is(Kind::kDict)) {
    return value;
  }
  std::vector<Dict::Entry> entries = value.as_dict().entries();
  std::ranges::stable_sort(entries, [&](const Dict::Entry& a, const Dict::Entry& b) {
    return compares(runtime, Operator::kLess, a.first, b.first);
  });
  Dict sorted;
  for (const auto& [key, item] : entries) {
    sorted.set(key, sorted_dicts(runtime, item));
  }
  return runtime.dict(std::move(sorted));
}

/// Python's pprint for what fits on a line.
Value pprint(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  constexpr i64 kLine = 80;
  std::string text;
  append_repr(runtime, text, sorted_dicts(runtime, self));
  if (count_code_points(text) > kLine) {
    runtime.fail(str("pprint is supported for what takes up to ", kLine, " characters"));
  }
  return runtime.text(std::move(text));
}

}  // namespace

const std::vector<Builtin>& layout_filters() {
  static const std::vector<Builtin> table = {
      {"center", {{"width"}}, center},
      {"filesizeformat", {{"binary"}}, filesizeformat},
      {"format", Parameters::any(), format},
      {"pprint", {}, pprint},
      {"round", {{"precision", "method"}}, round_filter},
      {"truncate", {{"length", "killwords", "end", "leeway"}}, truncate},
      {"wordcount", {}, wordcount},
  };
  return table;
}

}  // namespace inlay::jinja
