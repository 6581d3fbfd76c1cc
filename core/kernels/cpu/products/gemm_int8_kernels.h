// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/kernels/cpu/products/gemm_kernels.h"
#include "core/types.h"

// The seam between gemm_int8.cc and gemm_int8.isa.cc, the products of operands of 8 bits.
//
// Panels are made of blocks of 64 steps, the last one filled up with zeros.
//   A block  the codes of `height` rows, one row after the other, as the kernel wants them; then
//            their scales. `a_bytes` in all
//   B block  `width` starts (i32): what a column's sums start from; `width` scales (f32); then the
//            codes, four steps at a time: byte s of dword q * width + j is B(4 q + s, j)
namespace inlay::kernels {

/// Steps of the contraction that share a scale.
inline constexpr i64 kInt8Block = 64;
/// Bytes of a block of B, a column: 64 codes, a start and a scale.
inline constexpr i64 kInt8ColumnBytes = kInt8Block + 8;

/// A piece of a chunk in the panels: blocks of codes; or, where there are none, K steps of floats,
/// A's row by row and B's step by step.
struct Int8Steps {
  i64 blocks, K;
  const void* a;
  const void* b;
};

struct GemmInt8 {
  i64 height, width;  // of a tile; the width is a multiple of 16
  i64 a_bytes;        // of a block, a multiple of 64

  /// Before and after a thread's products: the tile registers need shapes.
  void (*begin)();
  void (*end)();
  /// Rows of A, K steps of each, to the blocks from `to` on; rows beyond `rows` become zeros.
  void (*pack_rows)(const float* a, i64 row_stride, i64 rows, i64 K, u8* to);
  /// `count` values of a column of B, block by block: 64 codes each, zeros where there are no more
  /// values, and a scale.
  void (*quantise)(const float* values, i64 count, i8* codes, float* scales);
  /// 64 codes from as many nibbles, high ones first: table[nibble].
  void (*look_up)(const u8* nibbles, const i8* table, i8* codes);
  /// `steps` rows of B, at most 64, with `columns` columns: a block, starts left out. Columns that
  /// are missing become zeros.
  void (*pack_columns)(const float* b, i64 row_stride, i64 steps, i64 columns, u8* block);
  /// The starts of a block whose codes are in place.
  void (*finish_block)(u8* block);
  /// sums[height, width] += the product over the blocks of a piece.
  void (*product)(i64 blocks, const void* a, const void* b, float* sums);
  /// The products of all pieces, in order, straight to C: of a whole tile. Null where that is no
  /// faster.
  void (*full)(const Int8Steps* steps, i64 count, const TileOutput& out);
};

INLAY_DECLARE_TABLES(GemmInt8, kGemmInt8)
INLAY_DECLARE_DOT_TABLES(GemmInt8, kGemmInt8)

}  // namespace inlay::kernels
