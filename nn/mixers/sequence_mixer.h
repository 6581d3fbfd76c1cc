// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "nn/module.h"
#include "nn/pass.h"
#include "nn/state.h"

namespace inlay {

/// The part of a layer in which tokens of one sequence look at each other: attention, and whatever
/// takes its place. All else in a decoder works on each token alone.
///
/// A pass lays sequences end to end (PackedTokens); a mixer keeps them apart. With a cache it goes
/// on where its own state in the cache ends, and adds the pass's tokens to that.
class SequenceMixer : public Module {
 public:
  /// What the tokens x [N, C] make of each other, [N, C]; onto `residual` [N, C] where that is
  /// defined, which may round otherwise than a sum of the two.
  virtual Tensor forward(const Tensor& residual, const Tensor& x, const Pass& pass) const = 0;
  /// An empty state of this layer for `slots` sequences of at most `capacity` tokens.
  virtual std::unique_ptr<LayerState> make_state(i64 slots, i64 capacity) const = 0;
  /// Floating-point operations of forward a token, in the mean over a sequence of T tokens, without
  /// those of the layer's weights.
  virtual double mixing_work(i64 T) const = 0;
};

}  // namespace inlay
