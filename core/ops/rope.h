// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/autograd/graph.h"
#include "core/kernels/rope.h"
#include "core/tensor/host_list.h"

namespace inlay {

using kernels::RopePairs;

/// Cosines and sines of the rotary angles, [positions, pairs] each, and the values they turn.
struct RopeTables {
  Tensor cosines;
  Tensor sines;
  RopePairs order = RopePairs::kHalves;
  /// Halves: the second of a pair stands so far behind the first; 0: as far as there are pairs.
  i64 distance = 0;
};

/// Turns pairs of values of every head by the angles of its row's position (Su et al. 2021,
/// arXiv:2104.09864): pair k is (k, k + distance), in the half-split order of most checkpoints of
/// Hugging Face, or (2k, 2k + 1). Values of no pair pass through.
///   x [N, H * head_dim], rows contiguous or not; written over x when it is the only handle
///   positions [N]
/// Saved for backward: the tables and positions; dx is dy turned back.
Tensor rope(Tensor x, i64 head_dim, const Indices& positions, const RopeTables& tables);

/// The same as arguments of kernels that turn rows on their way; how many heads a row has and where
/// rows lie is for the caller to add.
kernels::RopeArgs rope_args(i64 head_dim, const Indices& positions, const RopeTables& tables);

}  // namespace inlay
