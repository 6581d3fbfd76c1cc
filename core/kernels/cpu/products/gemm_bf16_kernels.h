// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/kernels/cpu/products/gemm_kernels.h"
#include "core/types.h"

// The seam between gemm_bf16.cc and gemm_bf16.isa.cc, the products of bf16 operands.
//
//   A piece  rows of bf16, as many values as the piece has steps, one row after the other
//   B panel  `width` columns, a pair of steps at a time, as dwords: B(2 k2, j) in the low half and
//            B(2 k2 + 1, j) in the high one. `block` pairs of 16 columns are together, then those
//            of the next 16 columns; after the last columns come the next pairs. The last panel of
//            a matrix may have only as many times 16 columns as it needs (panel_width).
namespace inlay::kernels {

/// Steps of a tile's rows: row r at a + r * a_stride. K is a multiple of GemmBf16::step.
struct Bf16Steps {
  i64 K = 0;
  const u16* a = nullptr;
  i64 a_stride = 0;
  /// Values from `a` to the rows that will be wanted next, or 0.
  i64 ahead = 0;
  /// The pairs of B they meet, where these are not in the panel.
  const u32* b = nullptr;
};

struct GemmBf16 {
  i64 height, width;  // of a tile
  i64 step;           // pieces are padded with zeros to a multiple of it
  i64 block;          // of a panel, in pairs of steps

  /// Columns of the panel that begins where `columns` of the matrix are left.
  i64 panel_width(i64 columns) const {
    return full[0] == nullptr || columns >= width ? width : (columns + 15) / 16 * 16;
  }
  /// Where column j of a panel so wide has pair k2.
  i64 at(i64 k2, i64 j, i64 panel) const {
    return k2 / block * block * panel + j / 16 * 16 * block + k2 % block * 16 + j % 16;
  }

  /// Before and after a thread's products: the tile registers need shapes.
  void (*begin)();
  void (*end)();
  /// sums[rows, panel] = the product of `rows` rows, at most `height`, and a panel of B that wide,
  /// whose steps meet those of `count` pieces of A one after the other.
  void (*product)(const Bf16Steps* steps, i64 count, i64 rows, const u32* b, i64 panel,
                  float* sums);
  /// to[r * to_stride + k] = kept ? from[r * from_stride + k] : 0 for k < K, in `rows` rows; then
  /// zeros up to a multiple of `step`.
  void (*keep)(const u16* from, i64 from_stride, i64 rows, i64 K, const KeptBits& kept, u16* to,
               i64 to_stride);
  /// full[v - 1]: the same of `height` rows and a panel of 16 v columns, straight to C. Null where
  /// that is no faster.
  void (*full[3])(const Bf16Steps* steps, i64 count, const u32* b, const TileOutput& out);
  /// to[i] = bf16(from[i]), to nearest even.
  void (*round)(const float* from, i64 count, u16* to);
  /// to[i] = bf16(even[i]) | bf16(odd[i]) << 16 for i < count.
  void (*interleave)(const float* even, const float* odd, i64 count, u32* to);
  /// to[i] = even[i] | odd[i] << 16 for i < count.
  void (*interleave_rounded)(const u16* even, const u16* odd, i64 count, u32* to);
};

INLAY_DECLARE_DOT_TABLES(GemmBf16, kGemmBf16)

}  // namespace inlay::kernels
