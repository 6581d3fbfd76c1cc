// SPDX-License-Identifier: Apache-2.0
#include "nn/pass.h"

namespace inlay {

void PackedTokens::append(std::span<const i32> sequence, i64 first_position, i64 cache_slot) {
  const i64 begin = size();
  const i64 count = static_cast<i64>(sequence.size());
  ids.insert(ids.end(), sequence.begin(), sequence.end());
  for (i64 i = 0; i < count; ++i) {
    positions.push_back(static_cast<i32>(first_position + i));
  }
  segments.push_back({begin, count, begin, count});
  cache_slots.push_back(cache_slot);
}

}  // namespace inlay
