// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/byte_tokens.h"

#include <algorithm>
#include <charconv>
#include <string>

namespace inlay {

std::optional<u8> byte_of_piece(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece.back() != '>') {
    return std::nullopt;
  }
  u8 byte = 0;
  const char* const end = piece.data() + 5;
  const auto read = std::from_chars(piece.data() + 3, end, byte, 16);
  return read.ec == std::errc() && read.ptr == end ? std::optional(byte) : std::nullopt;
}

ByteTokens::ByteTokens(const Vocabulary& vocabulary) {
  constexpr std::string_view kDigits = "0123456789ABCDEF";
  for (u32 byte = 0; byte < 256; ++byte) {
    const std::string piece{'<', '0', 'x', kDigits[byte >> 4], kDigits[byte & 15], '>'};
    ids_[byte] = vocabulary.find(piece).value_or(-1);
  }
}

bool ByteTokens::can_spell(std::string_view text) const {
  return std::ranges::all_of(text, [&](char byte) { return id(byte) >= 0; });
}

bool ByteTokens::complete() const {
  return std::ranges::count(ids_, -1) == 0;
}

}  // namespace inlay
