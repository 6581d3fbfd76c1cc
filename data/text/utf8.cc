// SPDX-License-Identifier: Apache-2.0
#include "data/text/utf8.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

#include "core/error.h"

namespace inlay {
namespace {

/// What a lead byte asks for: the length of its sequence and the range of the second byte, which is
/// where overlong forms, surrogates and values above U+10FFFF are shut out.
struct Lead {
  int length;  // 0: not a lead byte
  u8 second_low = 0x80;
  u8 second_high = 0xBF;
};

constexpr Lead lead_of(u8 byte) {
  if (byte < 0x80) {
    return {1};
  }
  if (byte < 0xC2 || byte > 0xF4) {
    return {0};
  }
  if (byte < 0xE0) {
    return {2};
  }
  if (byte < 0xF0) {
    return {3, static_cast<u8>(byte == 0xE0 ? 0xA0 : 0x80),
            static_cast<u8>(byte == 0xED ? 0x9F : 0xBF)};
  }
  return {4, static_cast<u8>(byte == 0xF0 ? 0x90 : 0x80),
          static_cast<u8>(byte == 0xF4 ? 0x8F : 0xBF)};
}

/// The part of a sequence found at the front of non-empty `text`.
struct Sequence {
  i64 length;  // bytes that belong together: a code point, the start of one, or one wrong byte
  i64 wanted;  // bytes the lead byte asks for; 0 when it is no lead byte
  bool complete() const { return length == wanted; }
};

Sequence sequence_at(std::string_view text) {
  const Lead lead = lead_of(static_cast<u8>(text[0]));
  i64 length = 1;
  while (length < std::min<i64>(lead.length, text.size())) {
    const auto byte = static_cast<u8>(text[length]);
    const u8 low = length == 1 ? lead.second_low : 0x80;
    const u8 high = length == 1 ? lead.second_high : 0xBF;
    if (byte < low || byte > high) {
      break;
    }
    ++length;
  }
  return {length, lead.length};
}

i64 ascii_length(std::string_view text) {
  i64 length = 0;
  for (u64 word = 0; length + 8 <= static_cast<i64>(text.size()); length += 8) {
    std::memcpy(&word, text.data() + length, 8);
    if ((word & 0x8080808080808080U) != 0) {
      break;
    }
  }
  while (length < static_cast<i64>(text.size()) && static_cast<u8>(text[length]) < 0x80) {
    ++length;
  }
  return length;
}

bool is_continuation(char byte) {
  return (static_cast<u8>(byte) & 0xC0) == 0x80;
}

}  // namespace

i64 valid_utf8_length(std::string_view text) {
  i64 valid = 0;
  while (true) {
    valid += ascii_length(text.substr(valid));
    if (valid == static_cast<i64>(text.size())) {
      return valid;
    }
    const Sequence sequence = sequence_at(text.substr(valid));
    if (!sequence.complete()) {
      return valid;
    }
    valid += sequence.length;
  }
}

void check_utf8(std::string_view text, std::string_view what) {
  const i64 valid = valid_utf8_length(text);
  if (valid < static_cast<i64>(text.size())) {
    char byte[8];
    std::snprintf(byte, sizeof byte, "0x%02x", static_cast<u8>(text[valid]));
    throw DataError(str(what, ": byte ", byte, " at offset ", valid, " is not UTF-8"));
  }
}

CodePoint code_point_at(std::string_view text, i64 offset) {
  const auto lead = static_cast<u8>(text[offset]);
  if (lead < 0x80) {
    return {lead, 1};
  }
  const i64 length = lead < 0xE0 ? 2 : lead < 0xF0 ? 3 : 4;
  char32_t value = lead & (0x7FU >> length);
  for (i64 i = 1; i < length; ++i) {
    value = value << 6 | (static_cast<u8>(text[offset + i]) & 0x3FU);
  }
  return {value, length};
}

i64 previous_code_point(std::string_view text, i64 offset) {
  do {
    --offset;
  } while (is_continuation(text[offset]));
  return offset;
}

void append_utf8(std::string& out, char32_t code_point) {
  const auto continuation = [&](int shift) {
    out += static_cast<char>(0x80 | (code_point >> shift & 0x3F));
  };
  if (code_point < 0x80) {
    out += static_cast<char>(code_point);
  } else if (code_point < 0x800) {
    out += static_cast<char>(0xC0 | code_point >> 6);
    continuation(0);
  } else if (code_point < 0x10000) {
    out += static_cast<char>(0xE0 | code_point >> 12);
    continuation(6);
    continuation(0);
  } else {
    out += static_cast<char>(0xF0 | code_point >> 18);
    continuation(12);
    continuation(6);
    continuation(0);
  }
}

void append_as_utf8(std::string& out, std::string_view bytes) {
  while (true) {
    const i64 valid = valid_utf8_length(bytes);
    out += bytes.substr(0, valid);
    bytes.remove_prefix(valid);
    if (bytes.empty()) {
      return;
    }
    out += "\xEF\xBF\xBD";
    bytes.remove_prefix(sequence_at(bytes).length);
  }
}

i64 unfinished_utf8_tail(std::string_view bytes) {
  const i64 size = bytes.size();
  for (i64 back = 1; back <= std::min<i64>(3, size); ++back) {
    if (!is_continuation(bytes[size - back])) {
      const Sequence sequence = sequence_at(bytes.substr(size - back));
      return sequence.length == back && sequence.wanted > back ? back : 0;
    }
  }
  return 0;
}

}  // namespace inlay
