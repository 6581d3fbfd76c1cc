// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

namespace inlay::kernels {

struct ElementwiseTable {
  void (*add)(const float* a, const float* b, float* y, i64 n);
  void (*multiply)(const float* a, const float* b, float* y, i64 n);
  void (*scale)(const float* x, float factor, float* y, i64 n);
  void (*add_scaled)(const float* a, const float* b, float factor, float* y, i64 n);
  // Sums over `rows` rows of `columns` (<= 64) neighbouring columns; b may be null (plain sums).
  void (*column_block)(const float* a, const float* b, i64 stride, i64 rows, i64 columns,
                       double* out);
  void (*dropout)(const float* x, u64 begin, u32 threshold, float factor, u64 key, float* y, i64 n);
  double (*sum_of_squares)(const float* x, i64 n);
  // y = z * factors (+ bias) (+ addend) of one row; bias and addend may be null.
  void (*scaled_row)(const float* z, const float* factors, const float* bias, const float* addend,
                     float* y, i64 n);
  void (*scaled_row_bf16)(const u16* z, const float* factors, const float* bias,
                          const float* addend, u16* y, i64 n);
  // dz = dy * factors over neighbouring columns (<= 64) of all rows, and out = the sums of dy * z
  // where z is not null. dz may be dy.
  void (*scaled_block)(const float* dy, const float* z, const float* factors, i64 stride, i64 rows,
                       i64 columns, float* dz, double* out);
  void (*scaled_block_bf16)(const u16* dy, const u16* z, const float* factors, i64 stride, i64 rows,
                            i64 columns, u16* dz, double* out);
};
INLAY_DECLARE_TABLES(ElementwiseTable, elementwise)

}  // namespace inlay::kernels
