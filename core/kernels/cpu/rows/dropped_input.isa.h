// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/kernels/dropped_input.h"

namespace inlay::kernels {

/// Rows and columns of x that one task has to do with.
struct DroppedBlock {
  i64 row = 0, rows = 0;
  i64 column = 0, columns = 0;  // at most kDroppedColumns
};
/// As many as stay in the first-level cache: two rows of x, and eight of A.
inline constexpr i64 kDroppedColumns = 512;

struct DroppedInputTable {
  /// The bits of values [begin, end), begin a multiple of 64.
  void (*draw)(i64 begin, i64 end, float dropout, u64 key, u32* kept);
  /// t of the block's rows, over all columns.
  void (*products)(const DroppedInput& input, const DroppedFactor& factor, i64 row, i64 rows,
                   float* t, i64 t_columns);
  /// The block's share of dA: row k of the factor at dA + k * input.columns.
  void (*outer_products)(const DroppedInput& input, const DroppedFactor& factor,
                         const DroppedBlock& block, const float* u, i64 u_columns, float* dA);
};
INLAY_DECLARE_TABLES(DroppedInputTable, dropped_input)

}  // namespace inlay::kernels
