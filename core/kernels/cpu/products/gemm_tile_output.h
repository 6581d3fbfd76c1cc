// SPDX-License-Identifier: Apache-2.0
#pragma once

// From the registers of a full tile to C: what all tiles of AVX-512 and AVX2 do with their sums.

#include "core/kernels/cpu/isa/simd.h"
#include "core/kernels/cpu/products/gemm_kernels.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

// (Inlined: see row_values.h.)
template <i64 kWidth, class T>
[[gnu::always_inline]] inline void fetch_rows(i64 rows, const T* first, i64 stride) {
  constexpr i64 kLine = 64 / static_cast<i64>(sizeof(T));
  for (i64 r = 0; r < rows; ++r) {
#pragma GCC unroll 4
    for (i64 j = 0; j < kWidth; j += kLine) {
      __builtin_prefetch(first + r * stride + j);
    }
  }
}

/// Asks for the rows of C that a tile of `rows` rows and V vectors will write, and for those it
/// will add: they are needed after all steps only, time enough to bring them near.
template <i64 V>
[[gnu::always_inline]] inline void fetch_output(i64 rows, const TileOutput& out) {
  constexpr i64 kWidth = V * Vec::kLanes;
  if (out.c_bf16 != nullptr) {
    fetch_rows<kWidth>(rows, out.c_bf16, out.c_row_stride);
  } else if (!out.stream) {
    fetch_rows<kWidth>(rows, out.c, out.c_row_stride);
  }
  if (out.addend != nullptr && out.addend != out.c) {
    fetch_rows<kWidth>(rows, out.addend, out.addend_row_stride);
  }
  if (out.so_far != nullptr && out.so_far != out.c) {
    fetch_rows<kWidth>(rows, out.so_far, out.so_far_row_stride);
  }
}

/// body(sum, r, column) for each vector of a tile.
template <i64 R, i64 V, class Body>
inline void for_each_sum(Vec (&sum)[R][V], Body body) {
#pragma GCC unroll 8
  for (i64 r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (i64 v = 0; v < V; ++v) {
      body(sum[r][v], r, v * Vec::kLanes);
    }
  }
}

/// The sums of a tile to C. What is asked of few tiles is asked once a tile, not once a row.
template <i64 R, i64 V>
inline void store_tile(Vec (&sum)[R][V], const TileOutput& out) {
  if (out.alpha != 1.0F) {
    for_each_sum(sum, [&](Vec& s, i64, i64) { s = Vec::set(out.alpha) * s; });
  }
  if (out.so_far != nullptr) {
    for_each_sum(sum, [&](Vec& s, i64 r, i64 at) {
      s = s + Vec::load(out.so_far + r * out.so_far_row_stride + at);
    });
  }
  if (out.unscaled != nullptr) {
    for_each_sum(sum, [&](Vec s, i64 r, i64 at) {
      s.store(out.unscaled + r * out.unscaled_row_stride + at);
    });
  }
  if (out.unscaled_bf16 != nullptr) {
    for_each_sum(sum, [&](Vec s, i64 r, i64 at) {
      s.store_bf16(out.unscaled_bf16 + r * out.unscaled_row_stride + at);
    });
  }
  if (out.scale != nullptr) {
    for_each_sum(sum, [&](Vec& s, i64, i64 at) { s = s * Vec::load(out.scale + at); });
  }
  if (out.bias != nullptr) {
    for_each_sum(sum, [&](Vec& s, i64, i64 at) { s = s + Vec::load(out.bias + at); });
  }
  if (out.addend != nullptr) {
    for_each_sum(sum, [&](Vec& s, i64 r, i64 at) {
      s = s + Vec::load(out.addend + r * out.addend_row_stride + at);
    });
  }
  if (out.c_bf16 != nullptr) {
    for_each_sum(
        sum, [&](Vec s, i64 r, i64 at) { s.store_bf16(out.c_bf16 + r * out.c_row_stride + at); });
  } else if (out.stream) {
    for_each_sum(sum, [&](Vec s, i64 r, i64 at) { s.stream(out.c + r * out.c_row_stride + at); });
  } else {
    for_each_sum(sum, [&](Vec s, i64 r, i64 at) { s.store(out.c + r * out.c_row_stride + at); });
  }
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
