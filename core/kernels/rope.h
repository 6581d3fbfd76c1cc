// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

namespace inlay::kernels {

/// Which two values of a head are a pair.
enum class RopePairs : u8 {
  kHalves,       // (k, k + distance): Llama and most others
  kInterleaved,  // (2k, 2k + 1): GLM-4, Cohere 2, ERNIE 4.5
};

/// Rotary position embedding (Su et al. 2021, arXiv:2104.09864) on rows of `heads` heads of
/// `head_dim` values, row r at x + r * stride. In each head the `pairs` first pairs turn by the
/// angles of their row's position; all other values pass through.
struct RopeArgs {
  i64 rows = 0, heads = 1, head_dim = 64, pairs = 32;
  RopePairs order = RopePairs::kHalves;
  i64 distance = 32;  // >= pairs; halves alone
  i64 x_stride = 0, y_stride = 0;
  const i32* positions = nullptr;  // [rows]
  const float* cosines = nullptr;  // [positions known, pairs]
  const float* sines = nullptr;
  bool inverse = false;  // turn back: the backward of a rotation
};

/// y may be x.
void rope(const RopeArgs& args, const float* x, float* y);

}  // namespace inlay::kernels
