// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/products/gemm_pack.h"

#include <algorithm>

namespace inlay::kernels {
namespace {

// Values decoded before they are laid out: 24 KB stay in the first-level cache of every processor.
constexpr i64 kPackStripFloats = 6144;
// Columns decoded at once when B's rows run across the panels: eight of the widest.
constexpr i64 kStripCols = 384;
constexpr i64 kMaxWidth = 48;

// Asks for a part of a row that will be decoded before long: halves are decoded faster than the
// processor fetches them by itself. (Inlined: see row_values.h.)
[[gnu::always_inline]] inline void fetch_halves(const MatrixRef& m, i64 row, i64 col, i64 count) {
  constexpr i64 kLineHalves = 32;
  const bool halves = m.format == MatrixFormat::kBf16 || m.format == MatrixFormat::kF16;
  if (!halves || row >= m.rows) {
    return;
  }
  const u16* from = dense_row<u16>(m, row, col);
  for (i64 i = 0; i < count; i += kLineHalves) {
    __builtin_prefetch(from + i);
  }
}

// One panel of a transposed f32 matrix: its columns are rows in memory.
void transpose_f32(const BPart& part, const GemmPacking& packing, float* panel, i64 width) {
  const float* rows[kMaxWidth];
  for (i64 j = 0; j < part.N; ++j) {
    rows[j] = dense_row<float>(part.matrix, part.n + j, part.k);
  }
  packing.transpose(rows, part.N, part.K, panel, width, width);
}

// The same for any format, one vector's columns at a time.
void transpose_decoded(const BPart& part, const GemmPacking& packing, i64 lanes, float* panel,
                       i64 width) {
  alignas(64) float strip[kPackStripFloats];
  // As many steps as `lanes` rows of them fit in the strip, whole cache lines.
  const i64 length = kPackStripFloats / lanes / 16 * 16;
  for (i64 j = 0; j < part.N; j += lanes) {
    const i64 count = std::min(lanes, part.N - j);
    for (i64 k = 0; k < part.K; k += length) {
      const i64 steps = std::min(length, part.K - k);
      const float* rows[kMaxWidth];
      for (i64 r = 0; r < count; ++r) {
        rows[r] = strip + r * length;
        fetch_halves(part.matrix, part.n + j + r + lanes, part.k + k, steps);
        decode_row(part.matrix, part.n + j + r, part.k + k, steps, strip + r * length);
      }
      packing.transpose(rows, count, steps, panel + k * width + j, lanes, width);
    }
  }
}

void pack_transposed(const BPart& part, const PanelShape& shape, const GemmPacking& packing,
                     const Panels& panels) {
  for (i64 p = 0; p < shape.count(part.N); ++p) {
    BPart columns = part;
    columns.n += p * shape.width;
    columns.N = std::min(shape.width, part.N - p * shape.width);
    const i64 width = shape.width_of(p, part.N);
    float* panel = panels.data + p * panels.stride + panels.first_row * width;
    if (part.matrix.format == MatrixFormat::kF32) {
      transpose_f32(columns, packing, panel, width);
    } else {
      transpose_decoded(columns, packing, shape.lanes, panel, width);
    }
  }
}

// Rows of floats that run across the panels.
void copy_rows(const float* from, i64 from_stride, i64 K, i64 N, const PanelShape& shape,
               const GemmPacking& packing, const Panels& panels) {
  const i64 whole = N / shape.width;
  packing.copy(from, from_stride, whole * shape.width, K,
               panels.data + panels.first_row * shape.width, shape.width, panels.stride);
  if (whole * shape.width < N) {
    const i64 width = shape.width_of(whole, N);
    packing.copy(from + whole * shape.width, from_stride, N - whole * shape.width, K,
                 panels.data + whole * panels.stride + panels.first_row * width, width, 0);
  }
}

void pack_rows(const BPart& part, const PanelShape& shape, const GemmPacking& packing,
               const Panels& panels) {
  if (const float* from = rows_in_place<float>(part)) {
    copy_rows(from, part.matrix.row_bytes / 4, part.K, part.N, shape, packing, panels);
    return;
  }
  alignas(64) float strip[kPackStripFloats];
  constexpr i64 kSteps = kPackStripFloats / kStripCols;
  const i64 group = kStripCols / shape.width;
  for (i64 p = 0; p < shape.count(part.N); p += group) {
    const i64 j = p * shape.width;
    const i64 cols = std::min(group * shape.width, part.N - j);
    for (i64 k = 0; k < part.K; k += kSteps) {
      const i64 steps = std::min(kSteps, part.K - k);
      for (i64 s = 0; s < steps; ++s) {
        fetch_halves(part.matrix, part.k + k + s + kSteps, part.n + j, cols);
        decode_row(part.matrix, part.k + k + s, part.n + j, cols, strip + s * kStripCols);
      }
      copy_rows(strip, kStripCols, steps, cols, shape, packing,
                {panels.data + p * panels.stride, panels.stride, panels.first_row + k});
    }
  }
}

}  // namespace

void pack_b(const BPart& part, const Panels& panels) {
  const GemmPacking& packing = INLAY_SELECT(kGemmPacking);
  const PanelShape shape(INLAY_SELECT(kGemmTiles));
  if (part.transposed) {
    pack_transposed(part, shape, packing, panels);
  } else {
    pack_rows(part, shape, packing, panels);
  }
}

}  // namespace inlay::kernels
