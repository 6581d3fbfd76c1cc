// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "core/types.h"

namespace inlay {

/// Which two characters stand side by side within a token. Where a text has two that never do, no
/// merge reaches across, so it may be cut there without a change of its tokens. That makes words
/// of texts that nothing else cuts, and words repeat, which the cache of words lives on.
class Joints {
 public:
  /// Takes all neighbours within `piece`, valid UTF-8.
  void add(std::string_view piece);

  /// Whether some token may hold the two. Seldom true without reason (two pairs may share a bit),
  /// which costs a cut and changes nothing; never false without.
  bool may_join(char32_t left, char32_t right) const {
    const u64 bit = bit_of(left, right);
    return (bits_[bit >> 6] >> (bit & 63) & 1) != 0;
  }

 private:
  /// 512 KiB: some 300 000 pairs, those of the largest vocabularies, fill a fourteenth.
  static constexpr int kLogBits = 22;

  static u64 bit_of(char32_t left, char32_t right) {
    // Fibonacci hashing: the high bits of a product with 2^64 / golden ratio are well mixed.
    return ((static_cast<u64>(left) << 21 | right) * 0x9E3779B97F4A7C15U) >> (64 - kLogBits);
  }

  std::vector<u64> bits_ = std::vector<u64>(u64{1} << (kLogBits - 6));
};

}  // namespace inlay
