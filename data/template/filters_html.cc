// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <charconv>
#include <string>
#include <utility>

#include "core/error.h"
#include "data/template/access.h"
#include "data/template/builtins.h"
#include "data/template/characters.h"
#include "data/template/markup.h"
#include "data/template/text_forms.h"
#include "data/text/ascii.h"

/// Jinja's filters for HTML and addresses.
namespace inlay::jinja {
namespace {

Value safe(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return self.is_markup() ? self : runtime.markup(to_text(runtime, self));
}

Value escape(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return escaped(runtime, self);
}

Value forceescape(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return runtime.markup(html_escaped(to_text(runtime, self)));
}

/// The character an entity such as &lt; or &#60; stands for. Fails for names beyond HTML's oldest:
/// there are two thousand.
std::string entity(Runtime& runtime, std::string_view name) {
  static constexpr std::pair<std::string_view, std::string_view> kNames[] = {
      {"amp", "&"}, {"lt", "<"}, {"gt", ">"}, {"quot", "\""}, {"apos", "'"}, {"nbsp", "\u00a0"}};
  for (const auto& [known, text] : kNames) {
    if (name == known) {
      return std::string(text);
    }
  }
  unsigned number = 0;
  const bool hex = name.starts_with("#x") || name.starts_with("#X");
  const std::string_view digits = name.substr(std::min<std::size_t>(name.size(), hex ? 2 : 1));
  const auto result =
      std::from_chars(digits.data(), digits.data() + digits.size(), number, hex ? 16 : 10);
  const bool whole = name.starts_with('#') && !digits.empty() &&
                     result.ptr == digits.data() + digits.size() && result.ec == std::errc();
  // Lower numbers are control characters or stand for others, for which HTML has a table.
  if (!whole || number < 0xA0 || number > 0x10FFFF || (number >= 0xD800 && number < 0xE000)) {
    if (whole && number >= 0x20 && number < 0x7F) {
      return std::string(1, static_cast<char>(number));
    }
    runtime.fail(str("striptags: the entity &", printable(name), "; is not supported"));
  }
  std::string out;
  append_code_point(out, number);
  return out;
}

std::string unescaped_entities(Runtime& runtime, std::string_view text) {
  std::string out;
  while (!text.empty()) {
    const std::size_t at = std::min(text.find('&'), text.size());
    out += text.substr(0, at);
    text.remove_prefix(at);
    const std::size_t name_end = text.find_first_of("; \t\n&<", 1);
    const bool named =
        text.size() > 1 && (text[1] == '#' || is_letter(static_cast<unsigned char>(text[1])));
    if (named && name_end != std::string_view::npos && text[name_end] == ';') {
      out += entity(runtime, text.substr(1, name_end - 1));
      text.remove_prefix(name_end + 1);
    } else if (named) {
      runtime.fail("striptags: an entity without \";\" is not supported");
    } else if (!text.empty()) {
      out += '&';
      text.remove_prefix(1);
    }
  }
  return out;
}

Value striptags(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  const std::string whole = to_text(runtime, self);
  std::string_view text = whole;
  std::string out;
  for (std::size_t open = text.find('<'); open != std::string_view::npos; open = text.find('<')) {
    const bool comment = text.substr(open).starts_with("<!--");
    const std::size_t close = comment ? text.find("-->", open + 4) : text.find('>', open);
    if (close == std::string_view::npos) {
      break;
    }
    out += text.substr(0, open);
    text.remove_prefix(close + (comment ? 3 : 1));
  }
  out += text;
  std::string words;
  for (const Value& word : iterate(runtime, get_attribute(runtime, Value(std::move(out)), "split")
                                                .as_callable()
                                                .call(runtime, {}))) {
    words += (words.empty() ? "" : " ") + word.as_string();
  }
  return runtime.text(unescaped_entities(runtime, words));
}

/// RFC 3986's unreserved characters stay, and "/" in a path; in a query a blank becomes "+".
std::string percent_encoded(std::string_view text, bool query) {
  static constexpr std::string_view kKept = "_.-~";
  static constexpr std::string_view kHex = "0123456789ABCDEF";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || is_digit(c);
    if (letter || kKept.find(c) != std::string_view::npos || (c == '/' && !query)) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      out += {'%', kHex[byte >> 4], kHex[byte & 15]};
    }
  }
  return out;
}

Value urlencode(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  if (self.is(Kind::kString) || !is_iterable(self)) {
    return runtime.text(percent_encoded(to_text(runtime, self), /*query=*/false));
  }
  std::vector<Value> pairs;
  if (self.is(Kind::kDict)) {
    for (const auto& [key, value] : self.as_dict().entries()) {
      pairs.push_back(Value::sequence(SequenceKind::kTuple, {key, value}));
    }
  } else {
    pairs = iterate(runtime, self);
  }
  std::string out;
  for (const Value& pair : pairs) {
    const std::vector<Value> parts = iterate(runtime, pair);
    if (parts.size() != 2) {
      runtime.fail("urlencode: needs a string, a dict or pairs");
    }
    out += str(out.empty() ? "" : "&", percent_encoded(to_text(runtime, parts[0]), true), '=',
               percent_encoded(to_text(runtime, parts[1]), true));
    runtime.check_text(out.size());
  }
  return runtime.text(std::move(out));
}

Value xmlattr(Runtime& runtime, const Value& self, const Arguments& arguments) {
  if (!self.is(Kind::kDict)) {
    runtime.fail(str("xmlattr: needs a dict, not ", self.type_name()));
  }
  std::string out;
  for (const auto& [key, value] : self.as_dict().entries()) {
    if (value.is(Kind::kNone) || value.is(Kind::kUndefined)) {
      continue;
    }
    if (!key.is(Kind::kString) ||
        key.as_string().find_first_of(" \t\n\r\f\v/>=") != std::string::npos) {
      runtime.fail("xmlattr: names are strings without blanks, /, > and =");
    }
    out += str(out.empty() ? "" : " ", escaped(runtime, key).as_string(), "=\"",
               escaped(runtime, value).as_string(), '"');
  }
  const bool spaced = arguments.flag(0, true) && !out.empty();
  return runtime.text((spaced ? " " : "") + out);
}

}  // namespace

const std::vector<Builtin>& html_filters() {
  static const std::vector<Builtin> table = {
      {"e", {}, escape},
      {"escape", {}, escape},
      {"forceescape", {}, forceescape},
      {"safe", {}, safe},
      {"striptags", {}, striptags},
      {"urlencode", {}, urlencode},
      {"xmlattr", {{"autospace"}}, xmlattr},
  };
  return table;
}

}  // namespace inlay::jinja
