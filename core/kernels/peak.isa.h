// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/isa.h"
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
  double flops;
  void (*dot)(i64 steps, float* sink);
};
INLAY_DECLARE_DOT_TABLES(DotPeakTable, dot_peak_loops)

}  // namespace inlay::kernels
