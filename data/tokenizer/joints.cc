// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/joints.h"

#include "data/text/utf8.h"

namespace inlay {

void Joints::add(std::string_view piece) {
  char32_t left = 0;
  for (i64 at = 0; at < static_cast<i64>(piece.size());) {
    const CodePoint right = code_point_at(piece, at);
    if (at > 0) {
      const u64 bit = bit_of(left, right.value);
      bits_[bit >> 6] |= u64{1} << (bit & 63);
    }
    left = right.value;
    at += right.length;
  }
}

}  // namespace inlay
