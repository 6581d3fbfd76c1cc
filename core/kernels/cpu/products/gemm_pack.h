// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/products/gemm_kernels.h"
#include "core/kernels/matrix.h"

// B of a product, decoded and laid out in the panels of gemm_kernels.h.
namespace inlay::kernels {

/// How the columns of a part of B are divided into panels of one instruction set.
struct PanelShape {
  i64 lanes, width;

  explicit PanelShape(const GemmTiles& tiles)
      : lanes(tiles.lanes), width(tiles.lanes * tiles.vectors) {}

  i64 count(i64 cols) const { return (cols + width - 1) / width; }
  /// The width of panel p when `cols` columns are divided: only the last may have fewer vectors.
  i64 width_of(i64 p, i64 cols) const {
    const i64 rest = cols - p * width;
    return rest >= width ? width : (rest + lanes - 1) / lanes * lanes;
  }
};

/// A part of B: rows [k, k + K) and columns [n, n + N) of the product's B, which is the stored
/// matrix or, `transposed`, a stored [N, K].
struct BPart {
  const MatrixRef& matrix;
  bool transposed;
  i64 k, K;
  i64 n, N;
};

/// Row `row` of a matrix of dense values, from `col` on.
template <class Value>
const Value* dense_row(const MatrixRef& m, i64 row, i64 col) {
  const i64 stored = m.row_map != nullptr ? m.row_map[row] : row;
  return reinterpret_cast<const Value*>(static_cast<const u8*>(m.data) + stored * m.row_bytes) +
         col;
}

/// The address of row k of B, columns n onwards, when B can be multiplied in place: dense
/// floats, or bf16 for u16, not transposed, its rows in order. Null otherwise. Rows are row_bytes
/// apart.
template <class Value>
const Value* rows_in_place(const BPart& part) {
  constexpr MatrixFormat kFormat = sizeof(Value) == 4 ? MatrixFormat::kF32 : MatrixFormat::kBf16;
  const bool in_place =
      !part.transposed && part.matrix.format == kFormat && part.matrix.row_map == nullptr;
  return in_place ? dense_row<Value>(part.matrix, part.k, part.n) : nullptr;
}

/// Where packed panels go: panel p starts at data + p * stride, and what is packed are its rows
/// from `first_row` on.
struct Panels {
  float* data = nullptr;
  i64 stride = 0;
  i64 first_row = 0;
};

void pack_b(const BPart& part, const Panels& panels);

}  // namespace inlay::kernels
