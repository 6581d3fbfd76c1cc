// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/autograd/graph.h"
#include "core/tensor/host_list.h"

namespace inlay {

/// Cosines and sines of the rotary angles: [positions, half] each, half = rotary dimensions / 2.
struct RopeTables {
  Tensor cosines;
  Tensor sines;
};

/// Turns each pair (k, k + half) of every head by the angle of its row's position (Su et al. 2021,
/// arXiv:2104.09864, in the half-split order of Hugging Face checkpoints); values from 2 * half on
/// pass through.
///   x [N, H * head_dim], rows contiguous or not; written over x when it is the only handle
///   positions [N]
/// Saved for backward: the tables and positions; dx is dy turned back.
Tensor rope(Tensor x, i64 head_dim, const Indices& positions, const RopeTables& tables);

}  // namespace inlay
