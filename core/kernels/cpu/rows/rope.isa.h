// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

namespace inlay::kernels {

// The pairs of one head that turn: first' = first cos - second sin, second' = second cos + first
// sin; sign is 1, or -1 for the inverse. y may be x; values of no pair are not written.
struct RopeTable {
  /// Pairs (k, k + distance).
  void (*halves)(const float* x, const float* cosines, const float* sines, float sign, i64 pairs,
                 i64 distance, float* y);
  /// Pairs (2k, 2k + 1).
  void (*interleaved)(const float* x, const float* cosines, const float* sines, float sign,
                      i64 pairs, float* y);
};
INLAY_DECLARE_TABLES(RopeTable, ropes)

}  // namespace inlay::kernels
