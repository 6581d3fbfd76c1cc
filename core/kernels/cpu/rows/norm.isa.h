// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

namespace inlay::kernels {

/// What each column of a normalised row is multiplied with, offset + weight, and what is added
/// then. Both vectors may be null: a factor of 1, nothing added.
struct NormRow {
  const float* weight;
  float offset;
  const float* bias;
};

/// One row each. An RMS norm is a layer norm whose mean is 0 and whose bias is null.
struct NormTable {
  double (*sum)(const float* x, i64 n);
  double (*sum_of_squared_distances)(const float* x, float from, i64 n);
  // The addend, a row like x, may be null.
  void (*apply)(const float* x, const NormRow& row, float mean, float rstd, const float* addend,
                float* y, i64 n);
  void (*backward)(const float* x, const NormRow& row, float mean, float rstd, const float* dy,
                   bool centred, float* dx, i64 n);
  // out[c] = sum over rows of dy (x - mean) rstd for `columns` (<= 64) columns; mean may be null.
  void (*weight_block)(const float* x, const float* mean, const float* rstd, const float* dy,
                       i64 stride, i64 rows, i64 columns, double* out);
};
INLAY_DECLARE_TABLES(NormTable, norms)

}  // namespace inlay::kernels
