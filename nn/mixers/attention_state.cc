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

AttentionState::View AttentionState::view(const PackedTokens& tokens) const {
  View view{keys_, values_, {}};
  for (std::size_t s = 0; s < tokens.segments.size(); ++s) {
    const Segment& segment = tokens.segments[s];
    const i64 seen = tokens.positions[segment.q_begin];
    const i64 slot = tokens.cache_slots[s];
    INLAY_ASSERT(slot < slots_ && seen + segment.q_count <= capacity_);
    view.segments.push_back(
        {segment.q_begin, segment.q_count, slot * capacity_, seen + segment.q_count});
  }
  return view;
}

AttentionState::View AttentionState::extend(const Tensor& k, const Tensor& v,
                                            const PackedTokens& tokens) {
  View seen = view(tokens);
  std::vector<i32> rows(tokens.size());
  for (const Segment& segment : seen.segments) {
    const i64 first = segment.k_begin + segment.k_count - segment.q_count;
    for (i64 i = 0; i < segment.q_count; ++i) {
      rows[segment.q_begin + i] = static_cast<i32>(first + i);
    }
  }
  const Indices places(std::move(rows));
  write_rows(keys_, places, k);
  write_rows(values_, places, v);
  return seen;
}

}  // namespace inlay
