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
  id_list_.reset();
  position_list_.reset();
  segment_list_.reset();
}

namespace {

template <class T>
const HostList<T>& made_once(std::optional<HostList<T>>& list, const std::vector<T>& values) {
  if (!list) {
    list = HostList<T>(values);
  }
  return *list;
}

}  // namespace

const Indices& PackedTokens::id_list() const {
  return made_once(id_list_, ids);
}

const Indices& PackedTokens::position_list() const {
  return made_once(position_list_, positions);
}

const Segments& PackedTokens::segment_list() const {
  return made_once(segment_list_, segments);
}

}  // namespace inlay
