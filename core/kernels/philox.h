// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/types.h"

namespace inlay::kernels {

/// Four random words for one counter value: Philox-4x32-10, Salmon et al. 2011, "Parallel random
/// numbers: as easy as 1, 2, 3". A pure function of (key, counter), so a draw has an address
/// instead of a history.
struct PhiloxWords {
  u32 word[4];
};

static inline PhiloxWords philox(u64 key, u64 counter_low, u64 counter_high) {
  u32 x0 = static_cast<u32>(counter_low), x1 = static_cast<u32>(counter_low >> 32);
  u32 x2 = static_cast<u32>(counter_high), x3 = static_cast<u32>(counter_high >> 32);
  u32 k0 = static_cast<u32>(key), k1 = static_cast<u32>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    const u64 product0 = u64{0xD2511F53U} * x0;
    const u64 product1 = u64{0xCD9E8D57U} * x2;
    x0 = static_cast<u32>(product1 >> 32) ^ x1 ^ k0;
    x1 = static_cast<u32>(product1);
    x2 = static_cast<u32>(product0 >> 32) ^ x3 ^ k1;
    x3 = static_cast<u32>(product0);
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  return {{x0, x1, x2, x3}};
}

}  // namespace inlay::kernels
