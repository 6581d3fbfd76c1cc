// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/byte_level.h"

#include <array>

#include "data/text/utf8.h"

namespace inlay {
namespace {

constexpr i64 kLetters = 0x144;

constexpr bool stands_for_itself(int byte) {
  return (byte >= 0x21 && byte <= 0x7E) || (byte >= 0xA1 && byte <= 0xAC) || byte >= 0xAE;
}

struct Alphabet {
  std::array<char32_t, 256> letter_of{};
  std::array<i16, kLetters> byte_of{};  // -1: not a letter

  constexpr Alphabet() {
    byte_of.fill(-1);
    char32_t next = 0x100;
    for (int byte = 0; byte < 256; ++byte) {
      letter_of[byte] = stands_for_itself(byte) ? static_cast<char32_t>(byte) : next++;
      byte_of[letter_of[byte]] = static_cast<i16>(byte);
    }
  }
};

constexpr Alphabet kAlphabet;
static_assert(kAlphabet.letter_of[0x20] == 0x120 && kAlphabet.letter_of[0xAD] == 0x143);

}  // namespace

std::string byte_letter(u8 byte) {
  std::string out;
  append_utf8(out, kAlphabet.letter_of[byte]);
  return out;
}

std::optional<std::string> from_byte_letters(std::string_view piece) {
  std::string bytes;
  for (i64 at = 0; at < static_cast<i64>(piece.size());) {
    const CodePoint point = code_point_at(piece, at);
    if (point.value >= kLetters || kAlphabet.byte_of[point.value] < 0) {
      return std::nullopt;
    }
    bytes += static_cast<char>(kAlphabet.byte_of[point.value]);
    at += point.length;
  }
  return bytes;
}

}  // namespace inlay
