// SPDX-License-Identifier: Apache-2.0
#pragma once

// From the registers of a full tile to C: what all tiles of AVX-512 and AVX2 do with their sums.

#include "core/kernels/gemm_kernels.h"
#include "core/kernels/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

/// Asks for the rows of C that a tile of `rows` rows and V vectors will write, and for those it
/// will add: they are needed after all steps only, time enough to bring them near. (Inlined: see
/// row_values.h.)
template <i64 V>
[[gnu::always_inline]] inline void fetch_output(i64 rows, const TileOutput& out) {
  constexpr i64 kLine = 16, kWidth = V * Vec::kLanes;  // floats
  if (out.c_bf16 != nullptr) {
    for (i64 r = 0; r < rows; ++r) {
      __builtin_prefetch(out.c_bf16 + r * out.c_row_stride, 1);
      __builtin_prefetch(out.c_bf16 + r * out.c_row_stride + kWidth - 1, 1);
    }
  } else if (!out.stream) {
    for (i64 r = 0; r < rows; ++r) {
#pragma GCC unroll 4
      for (i64 j = 0; j < kWidth; j += kLine) {
        __builtin_prefetch(out.c + r * out.c_row_stride + j, 1);
      }
    }
  }
  if (out.addend != nullptr && out.addend != out.c) {
    for (i64 r = 0; r < rows; ++r) {
#pragma GCC unroll 4
      for (i64 j = 0; j < kWidth; j += kLine) {
        __builtin_prefetch(out.addend + r * out.addend_row_stride + j);
      }
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

/// Whether C is no more than the sums and what is added to them: most tiles'.
inline bool is_plain(const TileOutput& out) {
  return out.alpha == 1.0F && out.bias == nullptr && out.c_bf16 == nullptr;
}

template <bool kAdds, bool kStream, i64 R, i64 V>
inline void store_plain_tile(Vec (&sum)[R][V], const TileOutput& out) {
  float* c = out.c;
  const float* addend = out.addend;
#pragma GCC unroll 8
  for (i64 r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (i64 v = 0; v < V; ++v) {
      const Vec value = kAdds ? sum[r][v] + Vec::load(addend + v * Vec::kLanes) : sum[r][v];
      if constexpr (kStream) {
        value.stream(c + v * Vec::kLanes);
      } else {
        value.store(c + v * Vec::kLanes);
      }
    }
    c += out.c_row_stride;
    addend += kAdds ? out.addend_row_stride : 0;
  }
}

/// The sums of a tile to C, row by row.
template <i64 R, i64 V>
inline void store_tile(Vec (&sum)[R][V], const TileOutput& out) {
  if (is_plain(out)) {
    if (out.addend != nullptr) {
      return out.stream ? store_plain_tile<true, true>(sum, out)
                        : store_plain_tile<true, false>(sum, out);
    }
    return out.stream ? store_plain_tile<false, true>(sum, out)
                      : store_plain_tile<false, false>(sum, out);
  }
  const float* addend = out.addend;
#pragma GCC unroll 8
  for (i64 r = 0; r < R; ++r) {
    store_row(sum[r], out, addend, r * out.c_row_stride);
    addend = addend == nullptr ? nullptr : addend + out.addend_row_stride;
  }
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
