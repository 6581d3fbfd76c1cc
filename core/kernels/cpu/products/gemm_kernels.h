// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

// The seam between the loop nest of gemm.cc and what depends on the instruction set: the register
// tile (gemm_tile.isa.cc) and the reordering of operands for it (gemm_pack.isa.cc).
//
//   A panel  `rows` rows of A, k by k:     a[k * rows + r]         missing rows are zeros
//   B panel  `width` columns of B, k by k:  b[k * width + j]        missing columns are zeros
//            width = lanes * vectors, but for the last panel of a matrix, which has only as many
//            vectors as it needs
namespace inlay::kernels {

/// What becomes of the sums of a tile:
///   unscaled = alpha * sum (+ so_far)   c = unscaled (* scale) (+ bias) (+ addend)
/// rounded after each step, and at the end to bf16 where C, or `unscaled`, is of that type.
struct TileOutput {
  float* c = nullptr;
  u16* c_bf16 = nullptr;
  i64 c_row_stride = 0;
  float alpha = 1.0F;
  /// The sums of the chunks before: of the tile's first element; may be c.
  const float* so_far = nullptr;
  i64 so_far_row_stride = 0;
  float* unscaled = nullptr;  // or null, as all that follow
  u16* unscaled_bf16 = nullptr;
  i64 unscaled_row_stride = 0;
  const float* scale = nullptr;   // of the tile's first column
  const float* bias = nullptr;    // likewise
  const float* addend = nullptr;  // of the tile's first element; may be c
  i64 addend_row_stride = 0;
  /// To write past the caches a C that they cannot hold anyway: its lines need not be read first.
  /// C is f32, and its rows are aligned to 64 bytes. Others may read it after finish_streams().
  bool stream = false;
};

/// The k-th value of row r is at data[r * row_stride + k * col_stride].
struct TileA {
  const float* data = nullptr;
  i64 row_stride = 0, col_stride = 0;
};

/// Steps of the contraction with one and the same A.
struct TileSteps {
  i64 K = 0;
  TileA a;
  const float* b = nullptr;  // the rows of B they meet, where these are not in the panel
};

/// Which elements of a tile are kept: element (r, j) where bit `first + r * row_stride + j` is set.
struct KeptBits {
  const u32* bits = nullptr;
  i64 first = 0, row_stride = 0;
};

struct GemmTiles {
  i64 rows;     // of a full tile
  i64 lanes;    // of a vector
  i64 vectors;  // of a full tile's row

  /// full[v - 1]: the product of `rows` rows and a B panel v vectors wide, straight to C; the
  /// steps of `count` factors A, one after the other, meet the panel's rows in order. col_stride is
  /// 1, or A is a panel.
  void (*full[3])(const TileSteps* steps, i64 count, const float* b_panel, const TileOutput& out);
  /// Sums [rows, sum_stride] += the product, for `rows` <= full rows and A of any strides; row k of
  /// B at b + k * b_stride, `vectors` vectors of it.
  void (*sum)(i64 K, i64 rows, i64 vectors, const TileA& a, const float* b, i64 b_stride,
              float* sums, i64 sum_stride);
  void (*sum_bf16)(i64 K, i64 rows, i64 vectors, const TileA& a, const u16* b, i64 b_stride,
                   float* sums, i64 sum_stride);
  /// The sums of `rows` rows and `cols` columns to C.
  void (*write)(const float* sums, i64 sum_stride, i64 rows, i64 cols, const TileOutput& out);
  /// sums += product where it is kept, of `rows` rows and `cols` columns.
  void (*add_kept)(const float* product, i64 stride, i64 rows, i64 cols, const KeptBits& kept,
                   float* sums);
  /// After the last tile of a task that may have streamed.
  void (*finish_streams)();
};

struct GemmPacking {
  /// A panel from rows in memory: panel[k * stride + r] = rows[r][k] for r < count, 0 for the
  /// others below `width`; 0 < count <= width.
  void (*transpose)(const float* const* rows, i64 count, i64 K, float* panel, i64 width,
                    i64 stride);
  /// Panels from a matrix that runs across them: value j of panel p at step k is
  /// from[k * from_stride + p * width + j] while p * width + j < count, then 0 to the panel's end.
  void (*copy)(const float* from, i64 from_stride, i64 count, i64 K, float* to, i64 width,
               i64 panel_stride);
  /// Rounds to the nearest bf16, ties to even, in place.
  void (*round_to_bf16)(float* values, i64 count);
};

INLAY_DECLARE_TABLES(GemmTiles, kGemmTiles)
INLAY_DECLARE_TABLES(GemmPacking, kGemmPacking)

}  // namespace inlay::kernels
