// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/kernels/output_scale.h"

namespace inlay::kernels {

/// Rows [row, row + rows).
struct RowSlice {
  i64 row = 0, rows = 0;
};

struct OutputScaleTable {
  // One row.
  void (*scaled_row)(const float* z, const float* factors, const float* bias, float* y, i64 n);
  void (*scaled_row_bf16)(const u16* z, const float* factors, const float* bias, u16* y, i64 n);
  /// dz of the slice, and its sums [columns] where z is not null.
  void (*backward)(const ScaleBackward& args, const RowSlice& slice, float* sums);
};
INLAY_DECLARE_TABLES(OutputScaleTable, output_scale)

}  // namespace inlay::kernels
