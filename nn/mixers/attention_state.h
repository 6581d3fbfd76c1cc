// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/segments.h"
#include "core/tensor/tensor.h"
#include "nn/pass.h"
#include "nn/state.h"

namespace inlay {

/// Keys and values of the tokens already seen, f32: slot s holds rows [s * capacity, (s + 1) *
/// capacity), a token in the row of its position. 2 * slots * capacity * width * 4 bytes.
class AttentionState final : public LayerState {
 public:
  AttentionState(i64 width, i64 slots, i64 capacity);

  struct View {
    Tensor k, v;                    // [slots * capacity, width]
    std::vector<Segment> segments;  // queries of this pass, keys from the start of their slot
  };
  /// Stores the new rows of k and v [N, width] behind what their slots hold and returns what to
  /// attend to.
  View extend(const Tensor& k, const Tensor& v, const PackedTokens& tokens);
  /// What to attend to once the tokens are stored: for a layer that reads another's.
  View view(const PackedTokens& tokens) const;
  /// Costs nothing: the rows behind are written over.
  i64 rewind(i64 /*slot*/, i64 tokens) override { return tokens; }

 private:
  i64 slots_;
  i64 capacity_;
  Tensor keys_;
  Tensor values_;
};

}  // namespace inlay
