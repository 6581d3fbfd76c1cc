// SPDX-License-Identifier: Apache-2.0
#pragma once

// From the registers of a full tile to C: what all tiles of AVX-512 and AVX2 do with their sums.

#include "core/kernels/gemm_kernels.h"
#include "core/kernels/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

/// Asks for the rows of C that a tile of `rows` rows and V vectors will write: they are needed
/// after all steps only, time enough to bring them near.
template <i64 V>
inline void fetch_output(i64 rows, const TileOutput& out) {
  if (out.c_bf16 != nullptr) {
    for (i64 r = 0; r < rows; ++r) {
      __builtin_prefetch(out.c_bf16 + r * out.c_row_stride, 1);
      __builtin_prefetch(out.c_bf16 + r * out.c_row_stride + V * Vec::kLanes - 1, 1);
    }
    return;
  }
  for (i64 r = 0; r < rows && !out.stream; ++r) {
#pragma GCC unroll 4
    for (i64 v = 0; v < V; ++v) {
      __builtin_prefetch(out.c + r * out.c_row_stride + v * Vec::kLanes, 1);
    }
  }
}

/// The sums of a row to C, from value `at` of it on; `addend` is the row's, or null.
template <i64 V>
inline void store_row(Vec (&sum)[V], const TileOutput& out, const float* addend, i64 at) {
#pragma GCC unroll 4
  for (i64 v = 0; v < V; ++v) {
    sum[v] = Vec::set(out.alpha) * sum[v];
  }
  if (out.bias != nullptr) {
#pragma GCC unroll 4
    for (i64 v = 0; v < V; ++v) {
      sum[v] = sum[v] + Vec::load(out.bias + v * Vec::kLanes);
    }
  }
  if (addend != nullptr) {
#pragma GCC unroll 4
    for (i64 v = 0; v < V; ++v) {
      sum[v] = sum[v] + Vec::load(addend + v * Vec::kLanes);
    }
  }
  if (out.c_bf16 != nullptr) {
#pragma GCC unroll 4
    for (i64 v = 0; v < V; ++v) {
      sum[v].store_bf16(out.c_bf16 + at + v * Vec::kLanes);
    }
    return;
  }
  float* c = out.c + at;
  if (out.stream) {
#pragma GCC unroll 4
    for (i64 v = 0; v < V; ++v) {
      sum[v].stream(c + v * Vec::kLanes);
    }
    return;
  }
#pragma GCC unroll 4
  for (i64 v = 0; v < V; ++v) {
    sum[v].store(c + v * Vec::kLanes);
  }
}

/// The sums of a tile to C, row by row.
template <i64 R, i64 V>
inline void store_tile(Vec (&sum)[R][V], const TileOutput& out) {
  const float* addend = out.addend;
#pragma GCC unroll 8
  for (i64 r = 0; r < R; ++r) {
    store_row(sum[r], out, addend, r * out.c_row_stride);
    addend = addend == nullptr ? nullptr : addend + out.addend_row_stride;
  }
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
