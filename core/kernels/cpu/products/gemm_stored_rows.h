// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/kernels/cpu/products/matrix_decode.h"

// The seam between gemm_few_rows.cc and gemm_stored_rows.isa.cc: sums over rows of B as they are
// stored, side by side in the lanes of vectors, and decoded there.
namespace inlay::kernels {

/// The most steps of one call: a slice of K (gemm_schemes.h).
inline constexpr i64 kMaxStoredSteps = 1536;
/// The most rows of A of one call.
inline constexpr i64 kMaxStoredM = 4;
/// The most stored rows of one call, whatever the instruction set.
inline constexpr i64 kMaxStoredRows = 48;

/// Steps [k, k + K) of a product with a B that is stored [N, K]; k is a multiple of 32.
struct StoredRows {
  const u8* rows[kMaxStoredRows];  // where each stored row starts; all may be read
  i64 k = 0, K = 0;
  const float* a = nullptr;  // a(i, k) at a[i * a_row_stride + k], a(0, 0) first
  i64 a_row_stride = 0;
  i64 M = 1;
  float* sums = nullptr;  // sums[i * sum_stride + n] += the product
  i64 sum_stride = 0;
  /// kFourBit: the scales, and the number of each row's first block.
  const FourBitScales* four_bit = nullptr;
  i64 first_block[kMaxStoredRows];
  /// Memory that will be wanted next.
  const u8* next = nullptr;
  i64 next_bytes = 0;
};

struct GemmStoredRows {
  i64 rows;  // that a call takes; 0 where there are no such kernels
  /// By format, null for one that has none. Each sum is one chain of fma, k upwards, of the values
  /// decode_row gives.
  void (*sum[kMatrixFormats])(const StoredRows& s);
};

INLAY_DECLARE_TABLES(GemmStoredRows, kGemmStoredRows)

}  // namespace inlay::kernels
