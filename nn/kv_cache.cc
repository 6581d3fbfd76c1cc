// SPDX-License-Identifier: Apache-2.0
#include "nn/kv_cache.h"

#include <algorithm>

#include "core/error.h"

namespace inlay {

KvCache::KvCache(i64 layers, i64 width, i64 slots, i64 capacity)
    : slots_(slots), capacity_(capacity), width_(width) {
  for (i64 l = 0; l < layers; ++l) {
    keys_.push_back(Tensor::empty({slots * capacity, width}));
    values_.push_back(Tensor::empty({slots * capacity, width}));
  }
}

KvCache::View KvCache::extend(i64 layer, const Tensor& k, const Tensor& v,
                              const PackedTokens& tokens) {
  View view{keys_[layer], values_[layer], {}};
  for (std::size_t s = 0; s < tokens.segments.size(); ++s) {
    const Segment& segment = tokens.segments[s];
    const i64 seen = tokens.positions[segment.q_begin];
    const i64 slot = tokens.cache_slots[s];
    INLAY_ASSERT(slot < slots_ && seen + segment.q_count <= capacity_);
    const i64 first = slot * capacity_;
    const i64 begin = segment.q_begin;
    const i64 end = begin + segment.q_count;
    const i64 to = first + seen;
    view.k.slice(0, to, to + segment.q_count).copy_from(k.slice(0, begin, end));
    view.v.slice(0, to, to + segment.q_count).copy_from(v.slice(0, begin, end));
    view.segments.push_back({segment.q_begin, segment.q_count, first, seen + segment.q_count});
  }
  return view;
}

}  // namespace inlay
