// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/tensor/tensor.h"
#include "nn/pass.h"

namespace inlay {

/// Keys and values of the tokens already seen, for `slots` sequences of at most `capacity` tokens
/// each, f32: layers * 2 * slots * capacity * width * 4 bytes. In each layer slot s holds rows
/// [s * capacity, (s + 1) * capacity).
class KvCache {
 public:
  KvCache(i64 layers, i64 width, i64 slots, i64 capacity);

  struct View {
    Tensor k, v;                    // [slots * capacity, width]
    std::vector<Segment> segments;  // queries of this pass, keys from the start of their slot
  };
  /// Stores the new rows of k and v [N, width] of `layer` behind what their slots hold and returns
  /// what to attend to. Token i of a sequence goes to the row of its position.
  View extend(i64 layer, const Tensor& k, const Tensor& v, const PackedTokens& tokens);

  i64 slots() const { return slots_; }
  i64 capacity() const { return capacity_; }

 private:
  i64 slots_;
  i64 capacity_;
  i64 width_;
  std::vector<Tensor> keys_;
  std::vector<Tensor> values_;
};

}  // namespace inlay
