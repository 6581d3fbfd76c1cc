// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

/// Strings as Python sees them: sequences of code points, with Python's ideas of white space, line
/// ends and letters. Text is UTF-8 that has been checked once, where it came in.
namespace inlay::jinja {

/// The offset of the first byte that is not part of valid UTF-8, or -1.
i64 first_invalid_byte(std::string_view text);

/// The code point at byte `at`; `at` moves behind it. The text is valid UTF-8.
char32_t next_code_point(std::string_view text, std::size_t& at);

/// Appends a code point (not a surrogate, <= U+10FFFF) as UTF-8.
void append_code_point(std::string& out, char32_t code_point);

/// len(text) in Python.
i64 count_code_points(std::string_view text);

/// Where each code point begins, and at the back where the text ends.
std::vector<std::size_t> code_point_offsets(std::string_view text);

/// str.isspace() for one character.
bool is_space(char32_t code_point);
/// The characters at which str.splitlines() cuts.
bool is_line_end(char32_t code_point);
/// str.isalpha() for one character: general category L*.
bool is_letter(char32_t code_point);
bool is_lower(char32_t code_point);  // category Ll
bool is_upper(char32_t code_point);  // category Lu
bool is_title(char32_t code_point);  // category Lt
/// Decimal digits of any script (category Nd).
bool is_decimal(char32_t code_point);
/// str.isdigit() for one character: decimal digits, and others that are digits (² ① …).
bool is_digit_character(char32_t code_point);
/// Decimal digits and the other numbers (½ Ⅷ …): categories Nd, Nl and No.
bool is_number_character(char32_t code_point);
/// Whether repr() shows the character itself.
bool is_printable(char32_t code_point);

enum class LetterCase { kUpper, kLower, kTitle };
/// The one letter this letter becomes. Nothing for the few whose case is several letters or depends
/// on their neighbours (ß, ŉ, ﬁ, İ, final Σ …).
std::optional<char32_t> with_case(char32_t code_point, LetterCase letter_case);

enum class Side { kLeft, kRight, kBoth };
/// str.strip(), lstrip(), rstrip(): white space, or the characters of `chars`, taken off.
std::string_view strip(std::string_view text, Side side = Side::kBoth);
std::string_view strip(std::string_view text, Side side, std::string_view chars);

}  // namespace inlay::jinja
