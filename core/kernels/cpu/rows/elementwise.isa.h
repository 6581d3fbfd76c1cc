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
};
INLAY_DECLARE_TABLES(ElementwiseTable, elementwise)

}  // namespace inlay::kernels
