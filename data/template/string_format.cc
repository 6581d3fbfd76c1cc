// SPDX-License-Identifier: Apache-2.0
#include "data/template/string_format.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>

#include "core/error.h"
#include "data/template/access.h"
#include "data/template/characters.h"
#include "data/template/format_spec.h"
#include "data/template/markup.h"
#include "data/template/text_forms.h"
#include "data/text/ascii.h"

namespace inlay::jinja {
namespace {

/// Python's own limit on fields inside the specification of a field.
constexpr int kMaxNesting = 2;

std::optional<i64> index_of(std::string_view text) {
  i64 index = 0;
  const auto result = std::from_chars(text.data(), text.data() + text.size(), index);
  const bool digits = !text.empty() && std::ranges::all_of(text, is_digit);
  return digits && result.ec == std::errc() ? std::optional(index) : std::nullopt;
}

class BraceFormatter {
 public:
  BraceFormatter(Runtime& runtime, const CallArguments& arguments, bool escapes)
      : runtime_(runtime), arguments_(arguments), escapes_(escapes) {}

  std::string run(std::string_view format, int nesting = kMaxNesting) {
    if (nesting < 0) {
      runtime_.fail("format: fields are nested too deep");
    }
    std::string out;
    while (!format.empty()) {
      const std::size_t brace = std::min(format.find_first_of("{}"), format.size());
      out += format.substr(0, brace);
      format.remove_prefix(brace);
      if (format.empty()) {
        break;
      }
      if (format.size() > 1 && format[1] == format[0]) {
        out += format[0];
        format.remove_prefix(2);
      } else if (format[0] == '}') {
        runtime_.fail("format: a single \"}\" in the text; write \"}}\" for one");
      } else {
        const std::size_t end = end_of_field(format);
        out += field(format.substr(1, end - 1), nesting);
        format.remove_prefix(end + 1);
      }
      runtime_.check_text(out.size());
    }
    return out;
  }

 private:
  /// Where the field that opens `format` closes.
  std::size_t end_of_field(std::string_view format) const {
    int open = 0;
    for (std::size_t i = 0; i < format.size(); ++i) {
      open += format[i] == '{' ? 1 : format[i] == '}' ? -1 : 0;
      if (open == 0) {
        return i;
      }
    }
    runtime_.fail("format: a \"{\" is not closed");
  }

  /// name[.attribute | [index]]*[!conversion][:spec]
  std::string field(std::string_view text, int nesting) {
    const std::size_t name_end = end_of_name(text);
    Value value = named(text.substr(0, name_end));
    text.remove_prefix(name_end);
    if (text.starts_with('!')) {
      if (text.size() < 2 || (text.size() > 2 && text[2] != ':')) {
        runtime_.fail("format: expected \":\" after a conversion");
      }
      value = converted(value, text[1]);
      text.remove_prefix(2);
    }
    // A specification may have fields of its own: {:{width}}.
    const std::string spec = run(text.empty() ? text : text.substr(1), nesting - 1);
    if (escapes_ && value.is_markup()) {
      if (!spec.empty()) {
        runtime_.fail("format: markup takes no format specification");
      }
      return value.as_string();
    }
    const std::string filled = formatted(runtime_, value, spec);
    return escapes_ ? html_escaped(filled) : filled;
  }

  static std::size_t end_of_name(std::string_view text) {
    bool in_brackets = false;
    for (std::size_t i = 0; i < text.size(); ++i) {
      in_brackets = text[i] == '[' || (in_brackets && text[i] != ']');
      if (!in_brackets && (text[i] == '!' || text[i] == ':')) {
        return i;
      }
    }
    return text.size();
  }

  Value named(std::string_view name) {
    const std::size_t end = std::min(name.find_first_of(".["), name.size());
    Value value = argument(name.substr(0, end), name.empty());
    name.remove_prefix(end);
    while (!name.empty()) {
      const bool attribute = name[0] == '.';
      const std::size_t stop =
          attribute ? std::min(name.find_first_of(".[", 1), name.size()) : name.find(']');
      if ((!attribute && name[0] != '[') || stop == std::string_view::npos || stop < 2) {
        runtime_.fail("format: a field is not of the form name.attribute or name[index]");
      }
      const std::string_view part = name.substr(1, stop - 1);
      const std::optional<i64> index = attribute ? std::nullopt : index_of(part);
      value = attribute ? get_attribute(runtime_, value, part)
                        : get_item(runtime_, value, index ? Value(*index) : Value(part));
      name.remove_prefix(attribute ? stop : stop + 1);
    }
    return value;
  }

  Value argument(std::string_view name, bool automatic) {
    std::optional<i64> index = automatic ? std::optional(next_) : index_of(name);
    if (index) {
      // As in Python, {} and {0} cannot be mixed, in either order.
      if (automatic ? next_ < 0 : next_ > 0) {
        runtime_.fail("format: fields are numbered by hand and automatically");
      }
      next_ = automatic ? next_ + 1 : -1;
      if (*index >= static_cast<i64>(arguments_.positional.size())) {
        runtime_.fail(str("format: there is no argument ", *index));
      }
      return arguments_.positional[static_cast<std::size_t>(*index)];
    }
    const auto found = std::ranges::find_if(arguments_.keyword,
                                            [&](const auto& entry) { return entry.first == name; });
    if (found == arguments_.keyword.end()) {
      runtime_.fail(str("format: there is no argument \"", printable(name), "\""));
    }
    return found->second;
  }

  Value converted(const Value& value, char conversion) {
    if (conversion == 's') {
      return Value(to_text(runtime_, value));
    }
    std::string out;
    append_repr(runtime_, out, value);
    if (conversion == 'a') {
      return Value(ascii_escaped(out));
    }
    if (conversion != 'r') {
      runtime_.fail(str("format: unknown conversion \"!", printable(std::string(1, conversion)),
                        "\" (known: !s !r !a)"));
    }
    return Value(std::move(out));
  }

  Runtime& runtime_;
  const CallArguments& arguments_;
  bool escapes_;
  i64 next_ = 0;  // of the fields without a name; -1 once one has a number
};

/// What stands between a "%" and its letter.
struct Directive {
  std::optional<Value> keyed;  // the value of %(key)
  std::string flags;
  i64 width = 0;
  std::optional<i64> precision;
  char letter = '\0';

  bool has(char flag) const { return flags.find(flag) != std::string::npos; }
  char align() const { return has('-') ? '<' : '>'; }
};

class PercentFormatter {
 public:
  PercentFormatter(Runtime& runtime, const Value& values, bool escapes)
      : runtime_(runtime), values_(values), escapes_(escapes) {
    if (values.is(SequenceKind::kTuple)) {
      arguments_ = values.items();
    } else {
      arguments_ = {values};
    }
  }

  std::string run(std::string_view format) {
    std::string out;
    for (rest_ = format; !rest_.empty();) {
      const std::size_t percent = std::min(rest_.find('%'), rest_.size());
      out += rest_.substr(0, percent);
      rest_.remove_prefix(percent);
      if (!rest_.empty()) {
        rest_.remove_prefix(1);
        if (rest_.starts_with('%')) {
          out += '%';
          rest_.remove_prefix(1);
        } else {
          out += filled(read());
        }
        runtime_.check_text(out.size());
      }
    }
    // What can be subscripted may hold values for keys, of which not all need be used.
    const bool keyed = values_.is(Kind::kDict) || values_.is(Kind::kUndefined) ||
                       values_.is(SequenceKind::kList) || values_.is(SequenceKind::kRange);
    if (next_ < arguments_.size() && !keyed) {
      runtime_.fail("%: there are more values than directives");
    }
    return out;
  }

 private:
  [[noreturn]] void fail_end() const { runtime_.fail("%: the text ends inside a directive"); }

  char peek() const {
    if (rest_.empty()) {
      fail_end();
    }
    return rest_.front();
  }

  Directive read() {
    Directive directive;
    if (peek() == '(') {
      directive.keyed = keyed_value();
    }
    for (; std::string_view("-+ #0").find(peek()) != std::string_view::npos;
         rest_.remove_prefix(1)) {
      directive.flags += rest_.front();
    }
    directive.width = number().value_or(0);
    if (directive.width < 0) {  // only from a *
      directive.flags += '-';
      directive.width = -directive.width;
    }
    if (peek() == '.') {
      rest_.remove_prefix(1);
      directive.precision = std::max<i64>(number().value_or(0), 0);
    }
    if (std::string_view("hlL").find(peek()) != std::string_view::npos) {
      rest_.remove_prefix(1);
    }
    directive.letter = peek();
    rest_.remove_prefix(1);
    return directive;
  }

  Value keyed_value() {
    std::size_t end = 0;
    for (int open = 0; end < rest_.size(); ++end) {
      open += rest_[end] == '(' ? 1 : rest_[end] == ')' ? -1 : 0;
      if (open == 0) {
        break;
      }
    }
    if (end >= rest_.size()) {
      fail_end();
    }
    const std::string_view key = rest_.substr(1, end - 1);
    rest_.remove_prefix(end + 1);
    const Value* found = values_.is(Kind::kDict) ? values_.as_dict().find(key) : nullptr;
    if (found == nullptr) {
      runtime_.fail(values_.is(Kind::kDict) ? str("%: there is no key \"", printable(key), "\"")
                                            : "%: a directive with a key needs a dict of values");
    }
    next_ = arguments_.size();  // the dict itself is no value
    return *found;
  }

  std::optional<i64> number() {
    if (peek() == '*') {
      rest_.remove_prefix(1);
      const Value value = next();
      if (!value.is_integral()) {
        runtime_.fail(str("%: a * needs an integer, not ", value.type_name()));
      }
      return std::clamp<i64>(value.as_int(), -kMaxNumber, kMaxNumber);
    }
    const auto digits =
        static_cast<std::size_t>(std::ranges::find_if_not(rest_, is_digit) - rest_.begin());
    const std::optional<i64> value = index_of(rest_.substr(0, digits));
    rest_.remove_prefix(digits);
    return value ? std::optional(std::min(*value, kMaxNumber)) : std::nullopt;
  }

  Value next() {
    if (next_ >= arguments_.size()) {
      runtime_.fail("%: there are fewer values than directives");
    }
    return arguments_[next_++];
  }

  std::string filled(const Directive& directive) {
    const Value value = directive.keyed ? *directive.keyed : next();
    switch (directive.letter) {
      case 's':
      case 'r':
      case 'a':
        return filled_text(directive, text_of(value, directive.letter));
      case 'c':
        return character(directive, value);
      case 'd':
      case 'i':
      case 'u':
      case 'x':
      case 'X':
      case 'o':
        return integer(directive, value);
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G':
        return real(directive, value);
      default:
        runtime_.fail(
            str("%: unknown directive \"%", printable(std::string(1, directive.letter)), '"'));
    }
  }

  std::string text_of(const Value& value, char letter) const {
    if (letter == 's') {
      const std::string text = to_text(runtime_, value);
      return escapes_ && !value.is_markup() ? html_escaped(text) : text;
    }
    std::string out;
    append_repr(runtime_, out, value);
    out = letter == 'a' ? ascii_escaped(out) : out;
    return escapes_ ? html_escaped(out) : out;
  }

  std::string filled_text(const Directive& directive, std::string_view text) const {
    if (directive.precision) {
      const std::vector<std::size_t> offsets = code_point_offsets(text);
      const auto most = static_cast<std::size_t>(*directive.precision);
      text = text.substr(0, most + 1 < offsets.size() ? offsets[most] : text.size());
    }
    return padded(runtime_, text, directive.align(), directive.width, " ");
  }

  std::string character(const Directive& directive, const Value& value) const {
    if (value.is(Kind::kString) && count_code_points(value.as_string()) == 1) {
      return padded(runtime_, value.as_string(), directive.align(), directive.width, " ");
    }
    if (!value.is_integral()) {
      runtime_.fail(str("%c needs one character or its number, not ", value.type_name()));
    }
    FormatSpec spec;
    spec.type = 'c';
    spec.align = directive.align();
    spec.width = directive.width;
    return formatted_number(runtime_, value, spec);
  }

  std::string integer(const Directive& directive, const Value& given) const {
    const bool decimal = std::string_view("diu").find(directive.letter) != std::string_view::npos;
    if (!given.is_integral() && !(decimal && given.is(Kind::kFloat))) {
      runtime_.fail(str("%", std::string(1, directive.letter), " needs ",
                        decimal ? "a number" : "an integer", ", not ", given.type_name()));
    }
    FormatSpec spec;
    spec.type = decimal ? 'd' : directive.letter;
    spec.alternate = directive.has('#') && !decimal;
    const i64 value = given.is_integral() ? given.as_int() : whole(given.as_float());
    std::string digits = formatted_number(runtime_, Value(value), spec);
    const std::size_t front = (digits.starts_with('-') ? 1U : 0U) + (spec.alternate ? 2U : 0U);
    std::string sign = digits.substr(0, front);
    digits.erase(0, front);
    if (value >= 0 && (directive.has('+') || directive.has(' '))) {
      sign.insert(0, directive.has('+') ? "+" : " ");
    }
    if (directive.precision) {
      digits = padded(runtime_, digits, '>', *directive.precision, "0");
    }
    if (directive.has('0') && !directive.has('-')) {
      digits = padded(runtime_, digits, '>', directive.width - static_cast<i64>(sign.size()), "0");
    }
    return padded(runtime_, sign + digits, directive.align(), directive.width, " ");
  }

  i64 whole(double number) const {
    if (!(std::fabs(number) < 9223372036854775808.0)) {
      runtime_.fail(str("%d: ", float_text(number), " does not fit in a 64-bit integer"));
    }
    return static_cast<i64>(number);
  }

  std::string real(const Directive& directive, const Value& value) const {
    if (!value.is_number()) {
      runtime_.fail(
          str("%", std::string(1, directive.letter), " needs a number, not ", value.type_name()));
    }
    FormatSpec spec;
    spec.type = directive.letter;
    spec.alternate = directive.has('#');
    spec.sign = directive.has('+') ? '+' : directive.has(' ') ? ' ' : '-';
    spec.precision = directive.precision.value_or(-1);
    spec.width = directive.width;
    spec.align = directive.align();
    if (directive.has('0') && !directive.has('-')) {
      spec.align = '=';
      spec.fill = "0";
    }
    return formatted_number(runtime_, value, spec);
  }

  /// Wider than any text may be.
  static constexpr i64 kMaxNumber = i64{1} << 32;

  Runtime& runtime_;
  const Value& values_;
  std::vector<Value> arguments_;
  bool escapes_;
  std::string_view rest_;
  std::size_t next_ = 0;
};

Value result(Runtime& runtime, const Value& text, std::string filled) {
  return text.is_markup() ? runtime.markup(std::move(filled)) : runtime.text(std::move(filled));
}

}  // namespace

Value format_braces(Runtime& runtime, const Value& text, const CallArguments& arguments) {
  return result(runtime, text,
                BraceFormatter(runtime, arguments, text.is_markup()).run(text.as_string()));
}

Value format_percent(Runtime& runtime, const Value& text, const Value& values) {
  return result(runtime, text,
                PercentFormatter(runtime, values, text.is_markup()).run(text.as_string()));
}

}  // namespace inlay::jinja
