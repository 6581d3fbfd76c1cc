// SPDX-License-Identifier: Apache-2.0
#include "data/template/characters.h"

#include <utf8proc.h>

#include <algorithm>

namespace inlay::jinja {
namespace {

utf8proc_category_t category(char32_t code_point) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code_point));
}

bool is_continuation(char byte) {
  return (static_cast<unsigned char>(byte) & 0xC0) == 0x80;
}

struct Range {
  char32_t first, last;
};

bool in_ranges(char32_t code_point, const Range* begin, const Range* end) {
  return std::any_of(begin, end, [=](const Range& range) {
    return range.first <= code_point && code_point <= range.last;
  });
}

/// Letters whose upper case, title case or both are more than one letter (SpecialCasing.txt).
constexpr Range kLongUpper[] = {
    {0xDF, 0xDF},     {0x149, 0x149},   {0x1F0, 0x1F0},   {0x390, 0x390},   {0x3B0, 0x3B0},
    {0x587, 0x587},   {0x1E96, 0x1E9A}, {0x1F50, 0x1F50}, {0x1F52, 0x1F52}, {0x1F54, 0x1F54},
    {0x1F56, 0x1F56}, {0x1F80, 0x1FAF}, {0x1FB2, 0x1FB4}, {0x1FB6, 0x1FB7}, {0x1FBC, 0x1FBC},
    {0x1FC2, 0x1FC4}, {0x1FC6, 0x1FC7}, {0x1FCC, 0x1FCC}, {0x1FD2, 0x1FD3}, {0x1FD6, 0x1FD7},
    {0x1FE2, 0x1FE4}, {0x1FE6, 0x1FE7}, {0x1FF2, 0x1FF4}, {0x1FF6, 0x1FF7}, {0x1FFC, 0x1FFC},
    {0xFB00, 0xFB06}, {0xFB13, 0xFB17}};
/// Digits that do not stand for a place in a number (Numeric_Type=Digit).
constexpr Range kOtherDigits[] = {
    {0xB2, 0xB3},       {0xB9, 0xB9},       {0x1369, 0x1371},   {0x19DA, 0x19DA},
    {0x2070, 0x2070},   {0x2074, 0x2079},   {0x2080, 0x2089},   {0x2460, 0x2468},
    {0x2474, 0x247C},   {0x2488, 0x2490},   {0x24EA, 0x24EA},   {0x24F5, 0x24FD},
    {0x24FF, 0x24FF},   {0x2776, 0x277E},   {0x2780, 0x2788},   {0x278A, 0x2792},
    {0x10A40, 0x10A43}, {0x10E60, 0x10E68}, {0x11052, 0x1105A}, {0x1F100, 0x1F10A}};
/// İ becomes two letters; Σ becomes ς at the end of a word.
constexpr Range kContextualLower[] = {{0x130, 0x130}, {0x3A3, 0x3A3}};

template <class Strips>
std::string_view strip_if(std::string_view text, Side side, Strips strips) {
  std::size_t begin = 0;
  while (side != Side::kRight && begin < text.size()) {
    std::size_t next = begin;
    if (!strips(next_code_point(text, next))) {
      break;
    }
    begin = next;
  }
  std::size_t end = text.size();
  while (side != Side::kLeft && end > begin) {
    std::size_t last = end - 1;
    while (is_continuation(text[last])) {
      --last;
    }
    std::size_t at = last;
    if (!strips(next_code_point(text, at))) {
      break;
    }
    end = last;
  }
  return text.substr(begin, end - begin);
}

}  // namespace

i64 first_invalid_byte(std::string_view text) {
  const auto* bytes = reinterpret_cast<const utf8proc_uint8_t*>(text.data());
  std::size_t at = 0;
  while (at < text.size()) {
    utf8proc_int32_t code_point = 0;
    const utf8proc_ssize_t length =
        utf8proc_iterate(bytes + at, static_cast<utf8proc_ssize_t>(text.size() - at), &code_point);
    if (length <= 0) {
      return static_cast<i64>(at);
    }
    at += static_cast<std::size_t>(length);
  }
  return -1;
}

char32_t next_code_point(std::string_view text, std::size_t& at) {
  const auto lead = static_cast<unsigned char>(text[at++]);
  if (lead < 0x80) {
    return lead;
  }
  const int more = lead >= 0xF0 ? 3 : lead >= 0xE0 ? 2 : 1;
  char32_t code_point = lead & (0x3FU >> more);
  for (int i = 0; i < more; ++i) {
    code_point = (code_point << 6) | (static_cast<unsigned char>(text[at++]) & 0x3FU);
  }
  return code_point;
}

void append_code_point(std::string& out, char32_t code_point) {
  utf8proc_uint8_t bytes[4];
  const auto length = utf8proc_encode_char(static_cast<utf8proc_int32_t>(code_point), bytes);
  out.append(reinterpret_cast<const char*>(bytes), static_cast<std::size_t>(length));
}

i64 count_code_points(std::string_view text) {
  return std::count_if(text.begin(), text.end(), [](char byte) { return !is_continuation(byte); });
}

std::vector<std::size_t> code_point_offsets(std::string_view text) {
  std::vector<std::size_t> offsets;
  offsets.reserve(text.size() + 1);
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (!is_continuation(text[at])) {
      offsets.push_back(at);
    }
  }
  offsets.push_back(text.size());
  return offsets;
}

bool is_space(char32_t c) {
  return (c >= 0x09 && c <= 0x0D) || (c >= 0x1C && c <= 0x20) || c == 0x85 || c == 0xA0 ||
         c == 0x1680 || (c >= 0x2000 && c <= 0x200A) || c == 0x2028 || c == 0x2029 || c == 0x202F ||
         c == 0x205F || c == 0x3000;
}

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

bool is_letter(char32_t code_point) {
  const auto found = category(code_point);
  return found >= UTF8PROC_CATEGORY_LU && found <= UTF8PROC_CATEGORY_LO;
}
bool is_lower(char32_t code_point) {
  return category(code_point) == UTF8PROC_CATEGORY_LL;
}
bool is_upper(char32_t code_point) {
  return category(code_point) == UTF8PROC_CATEGORY_LU;
}
bool is_title(char32_t code_point) {
  return category(code_point) == UTF8PROC_CATEGORY_LT;
}
bool is_decimal(char32_t code_point) {
  return category(code_point) == UTF8PROC_CATEGORY_ND;
}
bool is_digit_character(char32_t code_point) {
  return is_decimal(code_point) ||
         in_ranges(code_point, std::begin(kOtherDigits), std::end(kOtherDigits));
}
bool is_number_character(char32_t code_point) {
  const auto found = category(code_point);
  return found >= UTF8PROC_CATEGORY_ND && found <= UTF8PROC_CATEGORY_NO;
}

bool is_printable(char32_t code_point) {
  if (code_point < 0x7F) {
    return code_point >= 0x20;
  }
  switch (category(code_point)) {
    case UTF8PROC_CATEGORY_CN:
    case UTF8PROC_CATEGORY_CC:
    case UTF8PROC_CATEGORY_CF:
    case UTF8PROC_CATEGORY_CS:
    case UTF8PROC_CATEGORY_CO:
    case UTF8PROC_CATEGORY_ZS:
    case UTF8PROC_CATEGORY_ZL:
    case UTF8PROC_CATEGORY_ZP:
      return false;
    default:
      return true;
  }
}

std::optional<char32_t> with_case(char32_t code_point, LetterCase letter_case) {
  const auto c = static_cast<utf8proc_int32_t>(code_point);
  if (letter_case == LetterCase::kLower) {
    if (in_ranges(code_point, std::begin(kContextualLower), std::end(kContextualLower))) {
      return std::nullopt;
    }
    return static_cast<char32_t>(utf8proc_tolower(c));
  }
  if (in_ranges(code_point, std::begin(kLongUpper), std::end(kLongUpper))) {
    return std::nullopt;
  }
  return static_cast<char32_t>(letter_case == LetterCase::kUpper ? utf8proc_toupper(c)
                                                                 : utf8proc_totitle(c));
}

std::string_view strip(std::string_view text, Side side) {
  return strip_if(text, side, is_space);
}

std::string_view strip(std::string_view text, Side side, std::string_view chars) {
  std::u32string set;
  for (std::size_t at = 0; at < chars.size();) {
    set += next_code_point(chars, at);
  }
  return strip_if(text, side, [&](char32_t c) { return set.find(c) != std::u32string::npos; });
}

}  // namespace inlay::jinja
