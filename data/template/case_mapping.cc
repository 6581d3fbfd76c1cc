// SPDX-License-Identifier: Apache-2.0
#include "data/template/case_mapping.h"

#include <cstdio>

#include "core/error.h"

namespace inlay::jinja {
namespace {

void append_in_case(Runtime& runtime, std::string_view caller, std::string& out, char32_t letter,
                    LetterCase letter_case) {
  const auto mapped = with_case(letter, letter_case);
  if (!mapped.has_value()) {
    char code[16];
    std::snprintf(code, sizeof code, "U+%04X", static_cast<unsigned>(letter));
    runtime.fail(str(caller, ": the letter ", code,
                     " has no single letter of that case, which is not supported"));
  }
  append_code_point(out, *mapped);
}

bool has_case(char32_t c) {
  return is_lower(c) || is_upper(c) || is_title(c);
}

}  // namespace

std::string map_case(Runtime& runtime, std::string_view caller, std::string_view text,
                     LetterCase letter_case) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    append_in_case(runtime, caller, out, next_code_point(text, at), letter_case);
  }
  return out;
}

std::string capitalized(Runtime& runtime, std::string_view caller, std::string_view text) {
  std::string out;
  std::size_t at = 0;
  if (!text.empty()) {
    append_in_case(runtime, caller, out, next_code_point(text, at), LetterCase::kTitle);
  }
  return out + map_case(runtime, caller, text.substr(at), LetterCase::kLower);
}

std::string titled(Runtime& runtime, std::string_view text) {
  std::string out;
  bool after_case = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    append_in_case(runtime, "title", out, c, after_case ? LetterCase::kLower : LetterCase::kTitle);
    after_case = has_case(c);
  }
  return out;
}

bool all_in_case(std::string_view text, LetterCase letter_case) {
  bool any = false;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t c = next_code_point(text, at);
    const bool wanted = letter_case == LetterCase::kUpper ? is_upper(c) : is_lower(c);
    if (has_case(c) && !wanted) {
      return false;
    }
    any = any || wanted;
  }
  return any;
}

}  // namespace inlay::jinja
