// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

namespace inlay::kernels {

struct PeakTable {
  /// Operations of a step of `fma`.
  double flops;
  void (*fma)(i64 steps, float* sink);
  float (*sum)(const float* values, i64 count);
};
INLAY_DECLARE_TABLES(PeakTable, peak_loops)

struct DotPeakTable {
  /// Operations of a step of each loop.
  double bf16_flops, int8_ops;
  void (*bf16)(i64 steps, float* sink);
  void (*int8)(i64 steps, float* sink);
};
INLAY_DECLARE_DOT_TABLES(DotPeakTable, dot_peak_loops)

}  // namespace inlay::kernels
