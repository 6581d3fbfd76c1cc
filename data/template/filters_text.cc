// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "data/template/access.h"
#include "data/template/builtins.h"
#include "data/template/case_mapping.h"
#include "data/template/characters.h"
#include "data/template/number_text.h"
#include "data/template/string_search.h"
#include "data/template/text_forms.h"

/// Jinja's filters that make text or numbers of what they are given.
namespace inlay::jinja {
namespace {

Value string_filter(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return self.is(Kind::kString) ? self : runtime.text(to_text(runtime, self));
}

/// Filters that are a method of strings leave markup what it is.
Value like(Runtime& runtime, const Value& self, std::string text) {
  return self.is_markup() ? runtime.markup(std::move(text)) : runtime.text(std::move(text));
}

Value trim(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string text = to_text(runtime, self);
  if (!arguments.has(0)) {
    return like(runtime, self, std::string(strip(text)));
  }
  const std::string& chars = arguments.string(0, "what to strip");
  runtime.charge_search(text.size(), std::min(text.size(), chars.size()));
  return like(runtime, self, std::string(strip(text, Side::kBoth, chars)));
}

template <LetterCase letter_case>
Value case_filter(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return like(runtime, self,
              map_case(runtime, letter_case == LetterCase::kUpper ? "upper" : "lower",
                       to_text(runtime, self), letter_case));
}

Value capitalize(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return like(runtime, self, capitalized(runtime, "capitalize", to_text(runtime, self)));
}

/// Unlike str.title(): words begin behind white space and - ( { [ < only, and their first letter
/// takes upper case.
Value title(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  const std::string text = to_text(runtime, self);
  std::string out;
  std::size_t start = 0;
  const auto add_word = [&](std::size_t end) {
    const std::string_view word = std::string_view(text).substr(start, end - start);
    std::size_t rest = 0;
    if (!word.empty()) {
      next_code_point(word, rest);
      out += map_case(runtime, "title", word.substr(0, rest), LetterCase::kUpper);
      out += map_case(runtime, "title", word.substr(rest), LetterCase::kLower);
    }
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t here = at;
    const char32_t c = next_code_point(text, at);
    if (is_space(c) || std::u32string_view(U"-({[<").find(c) != std::u32string_view::npos) {
      add_word(here);
      append_code_point(out, c);
      start = at;
    }
  }
  add_word(text.size());
  return runtime.text(std::move(out));
}

Value replace(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const i64 count = arguments.has(2) ? arguments.integer(2, -1, "count") : -1;
  return replace_text(runtime, to_text(runtime, self), to_text(runtime, arguments[0]),
                      to_text(runtime, arguments[1]), count);
}

/// The unit of `indent`, from a number of spaces or the text itself.
std::string indent_unit(Runtime& runtime, const Value& width) {
  if (width.is(Kind::kString)) {
    return width.as_string();
  }
  if (!width.is_integral()) {
    runtime.fail(str("indent: the width must be an integer or a string, not ", width.type_name()));
  }
  const auto spaces = static_cast<std::size_t>(std::max<i64>(width.as_int(), 0));
  runtime.check_text(spaces);
  return std::string(spaces, ' ');
}

Value indent(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!self.is(Kind::kString)) {
    runtime.fail(self.is(Kind::kUndefined) ? self.why_undefined()
                                           : str("indent: needs a string, not ", self.type_name()));
  }
  const std::string unit =
      arguments.get(0) == nullptr ? "    " : indent_unit(runtime, arguments[0]);
  const bool blank_too = arguments.flag(2, false);
  // The added line end makes an empty line at the end of the text count as one.
  const std::string text = self.as_string() + "\n";
  std::string out;
  bool first = true;
  for (const std::string_view line : split_lines(runtime, text, /*keep_ends=*/false)) {
    const bool indented = first ? arguments.flag(1, false) : blank_too || !line.empty();
    out += first ? "" : "\n";
    out += indented ? unit : "";
    out += line;
    first = false;
    runtime.check_text(out.size());
  }
  return like(runtime, self, std::move(out));
}

std::optional<std::string> json_indent(Runtime& runtime, const Arguments& arguments) {
  return arguments.has(1) ? std::optional(indent_unit(runtime, arguments[1])) : std::nullopt;
}

void set_separators(Runtime& runtime, const Value& separators, JsonStyle& style) {
  const bool pair = separators.is(Kind::kSequence) && separators.items().size() == 2 &&
                    separators.items()[0].is(Kind::kString) &&
                    separators.items()[1].is(Kind::kString);
  if (!pair) {
    runtime.fail("tojson: separators must be two strings, as in (\",\", \":\")");
  }
  style.item_separator = separators.items()[0].as_string();
  style.key_separator = separators.items()[1].as_string();
}

Value tojson(Runtime& runtime, const Value& self, const Arguments& arguments) {
  JsonStyle style{.ensure_ascii = arguments.flag(0, false),
                  .sort_keys = arguments.flag(3, false),
                  .indent = json_indent(runtime, arguments)};
  if (style.indent.has_value()) {
    style.item_separator = std::string(1, ',');  // a line end follows
  }
  if (arguments.has(2)) {
    set_separators(runtime, arguments[2], style);
  }
  return runtime.text(to_json(runtime, self, style));
}

/// The whole part of a float, or nothing when it is NaN.
std::optional<Value> whole_part(Runtime& runtime, double number) {
  if (std::isnan(number)) {
    return std::nullopt;
  }
  // 2^63 is a double; the largest i64 is not.
  if (number >= 9223372036854775808.0 || number < -9223372036854775808.0) {
    runtime.fail(str("int: ", float_text(number), " does not fit in a 64-bit integer"));
  }
  return Value(static_cast<i64>(number));
}

std::optional<Value> to_integer(Runtime& runtime, const Value& value, i64 base) {
  if (value.is_integral()) {
    return Value(value.as_int());
  }
  if (value.is(Kind::kFloat)) {
    return whole_part(runtime, value.as_float());
  }
  if (!value.is(Kind::kString)) {
    return std::nullopt;
  }
  const ParsedInteger parsed = parse_integer(value.as_string(), base);
  if (parsed.too_large) {
    runtime.fail("int: the number does not fit in a 64-bit integer");
  }
  if (parsed.value.has_value()) {
    return Value(*parsed.value);
  }
  const std::optional<double> number = parse_float(value.as_string());
  if (!number.has_value() || std::isinf(*number)) {
    return std::nullopt;
  }
  return whole_part(runtime, *number);
}

Value int_filter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  runtime.check_defined(self);
  const i64 base = arguments.integer(1, 10, "base");
  if (base < 2 || base > 36) {
    runtime.fail("int: the base must be 2 to 36");
  }
  const Value otherwise = arguments.get(0) != nullptr ? arguments[0] : Value(0);
  return to_integer(runtime, self, base).value_or(otherwise);
}

Value float_filter(Runtime& runtime, const Value& self, const Arguments& arguments) {
  runtime.check_defined(self);
  if (self.is_number()) {
    return Value(self.as_float());
  }
  const std::optional<double> number =
      self.is(Kind::kString) ? parse_float(self.as_string()) : std::nullopt;
  if (number.has_value()) {
    return Value(*number);
  }
  return arguments.get(0) != nullptr ? arguments[0] : Value(0.0);
}

Value abs_filter(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  runtime.check_defined(self);
  if (!self.is_number()) {
    runtime.fail(str("abs: needs a number, not ", self.type_name()));
  }
  if (!self.is_integral()) {
    return Value(std::fabs(self.as_float()));
  }
  if (self.as_int() == std::numeric_limits<i64>::min()) {
    runtime.fail("abs: the result does not fit in a 64-bit integer");
  }
  return Value(std::abs(self.as_int()));
}

Value default_filter(Runtime& /*runtime*/, const Value& self, const Arguments& arguments) {
  const bool replaced = self.is(Kind::kUndefined) || (arguments.flag(1, false) && !self.truthy());
  return !replaced ? self : arguments.get(0) != nullptr ? arguments[0] : Value("");
}

Value length(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return Value(length_of(runtime, self));
}

}  // namespace

const std::vector<Builtin>& text_filters() {
  static const std::vector<Builtin> table = {
      {"abs", {}, abs_filter},
      {"capitalize", {}, capitalize},
      {"count", {}, length},
      {"d", {{"default_value", "boolean"}}, default_filter},
      {"default", {{"default_value", "boolean"}}, default_filter},
      {"float", {{"default"}}, float_filter},
      {"indent", {{"width", "first", "blank"}}, indent},
      {"int", {{"default", "base"}}, int_filter},
      {"length", {}, length},
      {"lower", {}, case_filter<LetterCase::kLower>},
      {"replace", {{"old", "new", "count"}, 2}, replace},
      {"string", {}, string_filter},
      {"title", {}, title},
      {"tojson", {{"ensure_ascii", "indent", "separators", "sort_keys"}}, tojson},
      {"trim", {{"chars"}}, trim},
      {"upper", {}, case_filter<LetterCase::kUpper>},
  };
  return table;
}

}  // namespace inlay::jinja
