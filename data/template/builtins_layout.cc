// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <string>
#include <utility>

#include "core/error.h"
#include "data/template/access.h"
#include "data/template/builtins.h"
#include "data/template/case_mapping.h"
#include "data/template/characters.h"
#include "data/template/format_spec.h"
#include "data/template/string_format.h"
#include "data/template/text_forms.h"

/// Python's string methods that lay text out or fill it in, and the rarer questions about letters.
namespace inlay::jinja {
namespace {

template <char align>
Value pad_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string fill =
      arguments.get(1) == nullptr ? " " : arguments.string(1, "what to fill with");
  if (count_code_points(fill) != 1) {
    runtime.fail("what to fill with must be one character");
  }
  const i64 width = arguments.integer(0, 0, "the width");
  const i64 missing = width - count_code_points(self.as_string());
  if (align != '^' || missing <= 0) {
    return runtime.text(padded(runtime, self.as_string(), align, width, fill));
  }
  // Unlike format(), center() puts the odd one to the left where the width is odd.
  const i64 left = missing / 2 + (missing & width & 1);
  const std::string half = padded(runtime, self.as_string(), '>', width - missing + left, fill);
  return runtime.text(padded(runtime, half, '<', width, fill));
}

Value zfill_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string_view text = self.as_string();
  const i64 width = arguments.integer(0, 0, "the width");
  const bool sign = text.starts_with('-') || text.starts_with('+');
  return runtime.text(std::string(text.substr(0, sign ? 1 : 0)) +
                      padded(runtime, text.substr(sign ? 1 : 0), '>', width - (sign ? 1 : 0), "0"));
}

Value expandtabs_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const i64 size = std::clamp<i64>(arguments.integer(0, 8, "the size of a tab"), 0, 1024);
  const std::string& text = self.as_string();
  std::string out;
  i64 column = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c == '\t') {
      const i64 blanks = size == 0 ? 0 : size - column % size;
      out.append(static_cast<std::size_t>(blanks), ' ');
      column += blanks;
    } else {
      append_code_point(out, c);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
    runtime.check_text(out.size());
  }
  return runtime.text(std::move(out));
}

Value swapcase_method(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  const std::string& text = self.as_string();
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = next_code_point(text, at);
    const std::string_view letter = std::string_view(text).substr(begin, at - begin);
    out += is_upper(c)   ? map_case(runtime, "swapcase", letter, LetterCase::kLower)
           : is_lower(c) ? map_case(runtime, "swapcase", letter, LetterCase::kUpper)
                         : std::string(letter);
  }
  return runtime.text(std::move(out));
}

/// Lower case, but for the letters beyond ASCII that fold to others (ß …).
Value casefold_method(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  const std::string& text = self.as_string();
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c >= 0x80 && (is_lower(c) || is_upper(c) || is_title(c))) {
      runtime.fail("casefold is supported for letters of ASCII only");
    }
  }
  return runtime.text(map_case(runtime, "casefold", text, LetterCase::kLower));
}

/// str.maketrans(dict) and (from, to, remove), as the dict that translate() takes.
Value maketrans_method(Runtime& runtime, const Value& /*self*/, const Arguments& arguments) {
  Dict table;
  const auto number_of = [&](const Value& key) {
    if (key.is(Kind::kString) && count_code_points(key.as_string()) == 1) {
      std::size_t at = 0;
      return Value(static_cast<i64>(next_code_point(key.as_string(), at)));
    }
    if (!key.is_integral()) {
      runtime.fail("maketrans: keys are single characters or their numbers");
    }
    return key;
  };
  if (arguments.get(1) == nullptr) {
    if (!arguments[0].is(Kind::kDict)) {
      runtime.fail(str("maketrans: needs a dict or two texts, not ", arguments[0].type_name()));
    }
    for (const auto& [key, value] : arguments[0].as_dict().entries()) {
      table.set(number_of(key), value);
    }
    return runtime.dict(std::move(table));
  }
  const std::vector<Value> from =
      iterate(runtime, Value(arguments.string(0, "the old characters")));
  const std::vector<Value> to = iterate(runtime, Value(arguments.string(1, "the new characters")));
  if (from.size() != to.size()) {
    runtime.fail("maketrans: the two texts must be equally long");
  }
  for (std::size_t i = 0; i < from.size(); ++i) {
    table.set(number_of(from[i]), number_of(to[i]));
  }
  if (arguments.get(2) != nullptr) {
    for (const Value& gone : iterate(runtime, Value(arguments.string(2, "what to remove")))) {
      table.set(number_of(gone), Value());
    }
  }
  return runtime.dict(std::move(table));
}

Value translate_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string& text = self.as_string();
  if (!arguments[0].is(Kind::kDict)) {
    runtime.fail(str("translate: needs a dict, not ", arguments[0].type_name()));
  }
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t begin = at;
    const char32_t c = next_code_point(text, at);
    const Value* to = arguments[0].as_dict().find(Value(static_cast<i64>(c)));
    if (to == nullptr) {
      out.append(text, begin, at - begin);
    } else if (to->is(Kind::kString)) {
      out += to->as_string();
    } else if (to->is_integral() && to->as_int() >= 0 && to->as_int() <= 0x10FFFF) {
      append_code_point(out, static_cast<char32_t>(to->as_int()));
    } else if (!to->is(Kind::kNone)) {
      runtime.fail(
          str("translate: a character becomes a text, a number or none, not ", to->type_name()));
    }
    runtime.check_text(out.size());
  }
  return runtime.text(std::move(out));
}

Value format_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return format_braces(runtime, self, arguments.call());
}

Value format_map_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!arguments[0].is(Kind::kDict)) {
    runtime.fail(str("format_map: needs a dict, not ", arguments[0].type_name()));
  }
  CallArguments named;
  for (const auto& [key, value] : arguments[0].as_dict().entries()) {
    if (key.is(Kind::kString)) {
      named.keyword.emplace_back(key.as_string(), value);
    }
  }
  return format_braces(runtime, self, named);
}

/// Every character passes, and there is one where `needs_one`.
template <bool (*passes)(char32_t), bool needs_one>
Value all_pass(Runtime& /*runtime*/, const Value& self, const Arguments& /*arguments*/) {
  const std::string& text = self.as_string();
  for (std::size_t at = 0; at < text.size();) {
    if (!passes(next_code_point(text, at))) {
      return Value(false);
    }
  }
  return Value(!needs_one || !text.empty());
}

bool is_ascii(char32_t c) {
  return c < 0x80;
}

Value isidentifier_method(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  const std::string& text = self.as_string();
  bool good = !text.empty() && !(text[0] >= '0' && text[0] <= '9');
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c >= 0x80) {
      runtime.fail("isidentifier is supported for ASCII only");
    }
    good = good && (is_letter(c) || is_decimal(c) || c == '_');
  }
  return Value(good);
}

/// Ideographs of numbers (一, 百 …) count as numeric too.
Value isnumeric_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string& text = self.as_string();
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    if (c >= 0x3400 && is_letter(c)) {
      runtime.fail("isnumeric is not supported for ideographs");
    }
  }
  return all_pass<is_number_character, true>(runtime, self, arguments);
}

/// Upper and title case begin a word, lower case goes on with it.
Value istitle_method(Runtime& /*runtime*/, const Value& self, const Arguments& /*arguments*/) {
  const std::string& text = self.as_string();
  bool in_word = false;
  bool any = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    const bool begins = is_upper(c) || is_title(c);
    const bool goes_on = is_lower(c);
    if ((begins && in_word) || (goes_on && !in_word)) {
      return Value(false);
    }
    any = any || begins;
    in_word = begins || goes_on;
  }
  return Value(any);
}

}  // namespace

const std::vector<Builtin>& layout_methods() {
  static const std::vector<Builtin> table = {
      {"casefold", {}, casefold_method},
      {"center", {{"width", "fillchar"}, 1}, pad_method<'^'>},
      {"expandtabs", {{"tabsize"}}, expandtabs_method},
      {"format", Parameters::any(), format_method},
      {"format_map", {{"mapping"}, 1}, format_map_method},
      {"isascii", {}, all_pass<is_ascii, false>},
      {"isdecimal", {}, all_pass<is_decimal, true>},
      {"isidentifier", {}, isidentifier_method},
      {"isnumeric", {}, isnumeric_method},
      {"isprintable", {}, all_pass<is_printable, false>},
      {"istitle", {}, istitle_method},
      {"ljust", {{"width", "fillchar"}, 1}, pad_method<'<'>},
      {"maketrans", {{"x", "y", "z"}, 1}, maketrans_method},
      {"rjust", {{"width", "fillchar"}, 1}, pad_method<'>'>},
      {"swapcase", {}, swapcase_method},
      {"translate", {{"table"}, 1}, translate_method},
      {"zfill", {{"width"}, 1}, zfill_method},
  };
  return table;
}

}  // namespace inlay::jinja
