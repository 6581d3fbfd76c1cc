// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/error.h"
#include "data/template/access.h"
#include "data/template/builtins.h"
#include "data/template/case_mapping.h"
#include "data/template/characters.h"
#include "data/template/string_search.h"

/// Python's string methods.
namespace inlay::jinja {
namespace {

template <Side side>
Value strip_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string& text = self.as_string();
  if (!arguments.has(0)) {
    return runtime.text(std::string(strip(text, side)));
  }
  const std::string& chars = arguments.string(0, "what to strip");
  runtime.charge_search(text.size(), std::min(text.size(), chars.size()));
  return runtime.text(std::string(strip(text, side, chars)));
}

/// The pieces as a list of strings.
Value list_of(Runtime& runtime, const std::vector<std::string_view>& pieces) {
  std::vector<Value> items;
  items.reserve(pieces.size());
  for (const std::string_view piece : pieces) {
    items.emplace_back(piece);
  }
  return runtime.list(std::move(items));
}

template <bool from_right>
Value split_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const i64 most = arguments.integer(1, -1, "maxsplit");
  if (!arguments.has(0)) {
    return list_of(runtime, split_on_spaces(runtime, self.as_string(), most, from_right));
  }
  const std::string& separator = arguments.string(0, "the separator");
  if (separator.empty()) {
    runtime.fail("split: the separator is empty");
  }
  runtime.charge_search(self.as_string().size(), separator.size());
  return list_of(runtime, split_on(runtime, self.as_string(), separator, most, from_right));
}

Value splitlines_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return list_of(runtime, split_lines(runtime, self.as_string(), arguments.flag(0, false)));
}

/// The part [start, end) of a text that many methods look at, and how many characters stand before
/// it. Nothing when it begins behind the end.
struct Part {
  std::string_view text;
  i64 before = 0;
};
std::optional<Part> part_of(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string_view text = self.as_string();
  if (!arguments.has(1) && !arguments.has(2)) {
    return Part{text, 0};
  }
  runtime.charge_text(text.size());
  const std::vector<std::size_t> offsets = code_point_offsets(text);
  const auto size = static_cast<i64>(offsets.size()) - 1;
  const auto bound = [&](std::size_t i, i64 otherwise) {
    const i64 at = arguments.has(i) ? arguments.integer(i, 0, "a bound") : otherwise;
    return std::clamp<i64>(at < 0 ? at + size : at, 0, i == 1 ? size + 1 : size);
  };
  const i64 start = bound(1, 0);
  const i64 end = bound(2, size);
  if (start > size || start > end) {
    return std::nullopt;
  }
  const std::size_t begin = offsets[static_cast<std::size_t>(start)];
  return Part{text.substr(begin, offsets[static_cast<std::size_t>(end)] - begin), start};
}

/// startswith and endswith: the argument is a string or a tuple of strings.
template <bool at_start>
Value affix_test(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::optional<Part> part = part_of(runtime, self, arguments);
  const auto matches = [&](const Value& affix) {
    if (!affix.is(Kind::kString)) {
      runtime.fail(str(at_start ? "startswith" : "endswith",
                       ": needs a string or a tuple of strings, not ", affix.type_name()));
    }
    return part && (at_start ? part->text.starts_with(affix.as_string())
                             : part->text.ends_with(affix.as_string()));
  };
  if (arguments[0].is(SequenceKind::kTuple)) {
    const auto& affixes = arguments[0].items();
    runtime.charge(affixes);
    return Value(std::any_of(affixes.begin(), affixes.end(), matches));
  }
  return Value(matches(arguments[0]));
}

template <bool prefix>
Value remove_affix(Runtime& runtime, const Value& self, const Arguments& arguments) {
  std::string_view text = self.as_string();
  const std::string& affix = arguments.string(0, "what to remove");
  if (prefix && text.starts_with(affix)) {
    text.remove_prefix(affix.size());
  } else if (!prefix && text.ends_with(affix)) {
    text.remove_suffix(affix.size());
  }
  return runtime.text(std::string(text));
}

Value replace_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return replace_text(runtime, self.as_string(), arguments.string(0, "the old text"),
                      arguments.string(1, "the new text"), arguments.integer(2, -1, "count"));
}

template <LetterCase letter_case>
Value case_method(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return runtime.text(map_case(runtime, letter_case == LetterCase::kUpper ? "upper" : "lower",
                               self.as_string(), letter_case));
}

Value capitalize_method(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return runtime.text(capitalized(runtime, "capitalize", self.as_string()));
}

Value title_method(Runtime& runtime, const Value& self, const Arguments& /*arguments*/) {
  return runtime.text(titled(runtime, self.as_string()));
}

Value join_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  std::string out;
  bool first = true;
  for (const Value& item : iterate(runtime, arguments[0])) {
    if (!item.is(Kind::kString)) {
      runtime.fail(str("join: every item must be a string, and one is ", item.type_name(),
                       "; the filter |join takes anything"));
    }
    out += first ? "" : self.as_string();
    first = false;
    out += item.as_string();
    runtime.check_text(out.size());
  }
  return runtime.text(std::move(out));
}

/// The byte where `what` is found, as a count of characters; -1 when it is not there.
i64 position(Runtime& runtime, const Value& self, const Arguments& arguments, bool last) {
  const std::string& what = arguments.string(0, "what to look for");
  const std::optional<Part> part = part_of(runtime, self, arguments);
  if (!part) {
    return -1;
  }
  runtime.charge_search(part->text.size(), what.size());
  const std::size_t at = last ? part->text.rfind(what) : part->text.find(what);
  return at == std::string::npos ? -1 : part->before + count_code_points(part->text.substr(0, at));
}

template <bool last>
Value find_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  return Value(position(runtime, self, arguments, last));
}

template <bool last>
Value index_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const i64 at = position(runtime, self, arguments, last);
  if (at < 0) {
    runtime.fail("index: the text is not there; find gives -1 then");
  }
  return Value(at);
}

Value count_text_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string& what = arguments.string(0, "what to count");
  const std::optional<Part> part = part_of(runtime, self, arguments);
  if (!part) {
    return Value(0);
  }
  const std::string_view text = part->text;
  runtime.charge_search(text.size(), what.size());
  if (what.empty()) {
    return Value(count_code_points(text) + 1);
  }
  i64 count = 0;
  for (std::size_t at = text.find(what); at != std::string::npos;
       at = text.find(what, at + what.size())) {
    ++count;
  }
  return Value(count);
}

template <bool last>
Value partition_method(Runtime& runtime, const Value& self, const Arguments& arguments) {
  const std::string_view text = self.as_string();
  const std::string& separator = arguments.string(0, "the separator");
  if (separator.empty()) {
    runtime.fail("partition: the separator is empty");
  }
  runtime.charge_search(text.size(), separator.size());
  const std::size_t at = last ? text.rfind(separator) : text.find(separator);
  std::vector<Value> parts;
  if (at != std::string_view::npos) {
    parts = {Value(text.substr(0, at)), Value(separator),
             Value(text.substr(at + separator.size()))};
  } else if (last) {
    parts = {Value(""), Value(""), self};
  } else {
    parts = {self, Value(""), Value("")};
  }
  return runtime.sequence(SequenceKind::kTuple, std::move(parts));
}

/// isspace and the like: every character passes, and there is one.
template <bool (*passes)(char32_t)>
Value all_characters(Runtime& /*runtime*/, const Value& self, const Arguments& /*arguments*/) {
  const std::string& text = self.as_string();
  bool all = !text.empty();
  for (std::size_t at = 0; all && at < text.size();) {
    all = passes(next_code_point(text, at));
  }
  return Value(all);
}

bool is_alphanumeric(char32_t c) {
  return is_letter(c) || is_number_character(c);
}

template <LetterCase letter_case>
Value case_test(Runtime& /*runtime*/, const Value& self, const Arguments& /*arguments*/) {
  return Value(all_in_case(self.as_string(), letter_case));
}

}  // namespace

const std::vector<Builtin>& string_methods() {
  static const std::vector<Builtin> table = {
      {"capitalize", {}, capitalize_method},
      {"count", {{"sub", "start", "end"}, 1}, count_text_method},
      {"endswith", {{"suffix", "start", "end"}, 1}, affix_test<false>},
      {"find", {{"sub", "start", "end"}, 1}, find_method<false>},
      {"index", {{"sub", "start", "end"}, 1}, index_method<false>},
      {"isalnum", {}, all_characters<is_alphanumeric>},
      {"isalpha", {}, all_characters<is_letter>},
      {"isdigit", {}, all_characters<is_digit_character>},
      {"islower", {}, case_test<LetterCase::kLower>},
      {"isspace", {}, all_characters<is_space>},
      {"isupper", {}, case_test<LetterCase::kUpper>},
      {"join", {{"iterable"}, 1}, join_method},
      {"lower", {}, case_method<LetterCase::kLower>},
      {"lstrip", {{"chars"}}, strip_method<Side::kLeft>},
      {"partition", {{"sep"}, 1}, partition_method<false>},
      {"removeprefix", {{"prefix"}, 1}, remove_affix<true>},
      {"removesuffix", {{"suffix"}, 1}, remove_affix<false>},
      {"replace", {{"old", "new", "count"}, 2}, replace_method},
      {"rfind", {{"sub", "start", "end"}, 1}, find_method<true>},
      {"rindex", {{"sub", "start", "end"}, 1}, index_method<true>},
      {"rpartition", {{"sep"}, 1}, partition_method<true>},
      {"rsplit", {{"sep", "maxsplit"}}, split_method<true>},
      {"rstrip", {{"chars"}}, strip_method<Side::kRight>},
      {"split", {{"sep", "maxsplit"}}, split_method<false>},
      {"splitlines", {{"keepends"}}, splitlines_method},
      {"startswith", {{"prefix", "start", "end"}, 1}, affix_test<true>},
      {"strip", {{"chars"}}, strip_method<Side::kBoth>},
      {"title", {}, title_method},
      {"upper", {}, case_method<LetterCase::kUpper>},
  };
  return table;
}

}  // namespace inlay::jinja
