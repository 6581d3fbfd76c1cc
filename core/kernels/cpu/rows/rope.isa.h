// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

namespace inlay::kernels {

struct RopeTable {
  // One head: first' = first cos - second sin, second' = second cos + first sin; sign is 1, or -1
  // for the inverse.
  void (*head)(const float* x, const float* cosines, const float* sines, float sign, i64 half,
               i64 head_dim, float* y);
};
INLAY_DECLARE_TABLES(RopeTable, ropes)

}  // namespace inlay::kernels
