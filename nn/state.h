// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "core/types.h"

/// What a model keeps of the tokens it has seen, so that the next ones need not be computed with
/// all of them again.
namespace inlay {

/// One layer's part, for a fixed number of slots, each of which holds one growing sequence. What is
/// in it, keys and values or the state of a recurrence, is known to the mixer that made it.
class LayerState {
 public:
  LayerState() = default;
  LayerState(const LayerState&) = delete;
  LayerState& operator=(const LayerState&) = delete;
  virtual ~LayerState() = default;

  /// Lets go of all but the first `tokens` tokens of a slot, or of all of them where the layer
  /// cannot go back so far. Returns how many are left.
  virtual i64 rewind(i64 slot, i64 tokens) = 0;
};

/// The states of all layers: `slots` sequences of at most `capacity` tokens each. Slot and position
/// of each token stand in the pass (PackedTokens).
class SequenceCache {
 public:
  SequenceCache(std::vector<std::unique_ptr<LayerState>> layers, i64 slots, i64 capacity)
      : layers_(std::move(layers)), slots_(slots), capacity_(capacity) {}

  LayerState& layer(i64 index) { return *layers_[index]; }
  i64 slots() const { return slots_; }
  i64 capacity() const { return capacity_; }
  /// LayerState::rewind in every layer, to the tokens that all of them can keep.
  i64 rewind(i64 slot, i64 tokens);

 private:
  std::vector<std::unique_ptr<LayerState>> layers_;
  i64 slots_;
  i64 capacity_;
};

}  // namespace inlay
