// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

namespace inlay::kernels {

/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864) on rows of `heads` heads of
/// `head_dim` values, row r at x + r * stride. In each head the pair (k, k + half), k < half, turns
/// by the angle of its row's position; values from rotary_dim = 2 half on pass through.
struct RopeArgs {
  i64 rows = 0, heads = 1, head_dim = 64, half = 32;
  i64 x_stride = 0, y_stride = 0;
  const i32* positions = nullptr;  // [rows]
  const float* cosines = nullptr;  // [positions known, half]
  const float* sines = nullptr;
  bool inverse = false;  // turn back: the backward of a rotation
};

/// y may be x.
void rope(const RopeArgs& args, const float* x, float* y);

}  // namespace inlay::kernels
