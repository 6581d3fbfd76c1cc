// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/kernels/matrix_format.h"
#include "core/types.h"

/// A read-only [rows, cols] matrix in any storage the products can read: dense floats, or blocks
/// that are decoded while they are packed, so that no decoded copy of a weight ever exists.
namespace inlay::kernels {

/// What a kFourBit matrix needs besides its nibbles. Scale of block b: absmax[b], or with double
/// quantisation nested_code[absmax_codes[b]] * nested_absmax[b / nested_block_size] + offset.
struct FourBitScales {
  const float* code = nullptr;  // [16]
  i64 block_size = 64;
  const float* absmax = nullptr;         // [blocks], or null with double quantisation
  const u8* absmax_codes = nullptr;      // [blocks]
  const float* nested_absmax = nullptr;  // [ceil(blocks / nested_block_size)]
  const float* nested_code = nullptr;    // [256]
  i64 nested_block_size = 256;
  float offset = 0.0F;
  /// The first of two values is in the low nibble, not the high one.
  bool low_first = false;
};

struct PackedPanels;

struct MatrixRef {
  MatrixFormat format = MatrixFormat::kF32;
  i64 rows = 0;
  i64 cols = 0;
  /// Row r starts at data + row_bytes * r. kFourBit: the nibbles of the flattened matrix, first
  /// value in the high nibble unless `low_first`, and row_bytes is unused (a row may start inside a byte). Rows of the
  /// dense formats are aligned to their elements.
  const void* data = nullptr;
  i64 row_bytes = 0;
  /// When not null, row r of the matrix is stored as row row_map[r] (GGUF keeps the rows of q and k
  /// in another order).
  const i32* row_map = nullptr;
  FourBitScales four_bit;
  /// The same values packed for products (gemm.h), or null.
  const PackedPanels* panels = nullptr;
};

/// out[i] = m(row, col + i) for i < count, as f32: the value the format's definition gives, every
/// operation rounded in turn, the same bits with all instruction sets. No alignment of col or count
/// to a block is needed.
void decode_row(const MatrixRef& m, i64 row, i64 col, i64 count, float* out);

/// Rows [begin, end) of m, one after the other: [end - begin, m.cols].
void decode_rows(const MatrixRef& m, i64 begin, i64 end, std::span<float> out);

}  // namespace inlay::kernels
