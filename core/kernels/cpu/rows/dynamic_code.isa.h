// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

// The seam between dynamic_code.cc and dynamic_code.isa.cc; nobody else includes it.
namespace inlay::kernels {

/// Finds the nearest code in two steps. The upper 16 bits of a float (sign, exponent, 7 bits of the
/// fraction) cut the numbers so finely that no piece holds two midpoints between neighbouring
/// values: the code of the least number of the piece, from a table, is the answer or one below it,
/// and one comparison tells which.
struct DynamicSearch {
  u8 first[1 << 16];     // by the upper half of z's bits; 0 for a NaN
  float midpoints[256];  // [k]: between values k and k + 1; the last is infinite
};

struct DynamicCodeTable {
  /// out[i] = values[codes[i]] * absmax
  void (*decode)(const float* values, float absmax, const u8* codes, float* out, i64 n);
  /// codes[i] = nearest to x[i] / max |x|; returns max |x|.
  float (*encode)(const DynamicSearch& search, const float* x, u8* codes, i64 n);
};
INLAY_DECLARE_TABLES(DynamicCodeTable, dynamic_codes)

}  // namespace inlay::kernels
