// SPDX-License-Identifier: Apache-2.0
#include "nn/mixers/attention_state.h"

#include "core/error.h"
#include "core/ops/rows.h"

namespace inlay {

AttentionState::AttentionState(i64 width, i64 slots, i64 capacity)
    : slots_(slots),
      capacity_(capacity),
      keys_(Tensor::empty({slots * capacity, width})),
      values_(Tensor::empty({slots * capacity, width})) {}

AttentionState::View AttentionState::extend(const Tensor& k, const Tensor& v,
                                            const PackedTokens& tokens) {
  View view{keys_, values_, {}};
  std::vector<i32> rows(tokens.size());
  for (std::size_t s = 0; s < tokens.segments.size(); ++s) {
    const Segment& segment = tokens.segments[s];
    const i64 seen = tokens.positions[segment.q_begin];
    const i64 slot = tokens.cache_slots[s];
    INLAY_ASSERT(slot < slots_ && seen + segment.q_count <= capacity_);
    const i64 first = slot * capacity_;
    for (i64 i = 0; i < segment.q_count; ++i) {
      rows[segment.q_begin + i] = static_cast<i32>(first + seen + i);
    }
    view.segments.push_back({segment.q_begin, segment.q_count, first, seen + segment.q_count});
  }
  const Indices places(std::move(rows));
  write_rows(keys_, places, k);
  write_rows(values_, places, v);
  return view;
}

}  // namespace inlay
