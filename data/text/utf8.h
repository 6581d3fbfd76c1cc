// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "core/types.h"

/// UTF-8 as Unicode defines it (table 3-7): no overlong forms, no surrogates, nothing above
/// U+10FFFF. Offsets and lengths are bytes.
namespace inlay {

/// Length of the longest prefix of `text` that is UTF-8; text.size() when all of it is.
i64 valid_utf8_length(std::string_view text);

/// Throws DataError `<what>: byte 0xff at offset 12 is not UTF-8` unless all of `text` is.
void check_utf8(std::string_view text, std::string_view what);

struct CodePoint {
  char32_t value;
  i64 length;  // bytes
};

/// The code point that starts at `offset` of valid UTF-8.
CodePoint code_point_at(std::string_view text, i64 offset);

/// The start of the code point that ends before `offset` (> 0) of valid UTF-8.
i64 previous_code_point(std::string_view text, i64 offset);

/// Appends a code point, which must not be a surrogate.
void append_utf8(std::string& out, char32_t code_point);

/// Appends `bytes` with every maximal ill-formed part replaced by one U+FFFD, as Unicode recommends
/// (3.9, "Substitution of Maximal Subparts").
void append_as_utf8(std::string& out, std::string_view bytes);

/// How many bytes (0 to 3) at the end of `bytes` begin a code point that more bytes could finish.
i64 unfinished_utf8_tail(std::string_view bytes);

}  // namespace inlay
