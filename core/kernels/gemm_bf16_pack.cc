// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/gemm_bf16_pack.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/kernels/gemm_schemes.h"

namespace inlay::kernels {
namespace {

// The transposing kernel takes so many rows at once.
constexpr i64 kTransposed = 16;
// Values of a row decoded and rounded at once: sixteen such runs stay in the first-level cache.
constexpr i64 kDecodedRun = 512;
// Columns decoded at once when B's rows run across the panels.
constexpr i64 kDecodedColumns = 512;
// Rows of A turned at once.
constexpr i64 kTurnedRows = 64;

constexpr i64 even(i64 K) {
  return round_up(K, 2);
}

// Row `row` of a matrix of dense values, from `col` on.
template <class Value>
const Value* dense_row(const MatrixRef& m, i64 row, i64 col) {
  const i64 stored = m.row_map != nullptr ? m.row_map[row] : row;
  return reinterpret_cast<const Value*>(static_cast<const u8*>(m.data) + stored * m.row_bytes) +
         col;
}

}  // namespace

void Bf16Packing::columns(const BPart& part, u32* panels, i64 stride) const {
  if (part.transposed) {
    transposed(part, panels, stride);
  } else {
    straight(part, panels, stride);
  }
  const i64 width = kernels_.width;
  for (i64 j = 0; j < part.N; j += width) {
    u32* panel = panels + j / width * stride;
    std::fill(panel + even(part.K) / 2 * width, panel + padded(part.K) / 2 * width, 0U);
  }
}

// B's columns are rows in memory: a pair lies together, and pairs are transposed as floats are.
void Bf16Packing::transposed(const BPart& part, u32* panels, i64 stride) const {
  const i64 width = kernels_.width;
  alignas(64) u16 runs[kTransposed * kDecodedRun];
  for (i64 j = 0; j < part.N; j += kTransposed) {
    u32* to = panels + j / width * stride + j % width;
    const i64 count = std::min(kTransposed, part.N - j);
    for (i64 k = 0; k < part.K; k += kDecodedRun) {
      const i64 steps = std::min(kDecodedRun, part.K - k);
      const float* rows[kTransposed];
      for (i64 c = 0; c < count; ++c) {
        rows[c] = rounded_run(part, part.n + j + c, part.k + k, steps, runs + c * kDecodedRun);
      }
      packing_.transpose(rows, count, even(steps) / 2, reinterpret_cast<float*>(to + k / 2 * width),
                         kTransposed, width);
    }
  }
  clear_missing(part, panels, stride);
}

// Columns up to the end of the last panel that no run of sixteen reached.
void Bf16Packing::clear_missing(const BPart& part, u32* panels, i64 stride) const {
  const i64 width = kernels_.width;
  const i64 reached = round_up(part.N, kTransposed) % width;
  if (reached == 0) {
    return;
  }
  u32* panel = panels + part.N / width * stride;
  for (i64 k2 = 0; k2 < even(part.K) / 2; ++k2) {
    std::fill(panel + k2 * width + reached, panel + (k2 + 1) * width, 0U);
  }
}

// `count` values of a stored row as bf16, where they lie or in `run`; when count is odd, a zero
// follows them.
const float* Bf16Packing::rounded_run(const BPart& part, i64 row, i64 k, i64 count,
                                      u16* run) const {
  const MatrixRef& m = part.matrix;
  if (m.format == MatrixFormat::kBf16 && count % 2 == 0) {
    const u16* stored = dense_row<u16>(m, row, k);
    if (reinterpret_cast<std::uintptr_t>(stored) % sizeof(float) == 0) {
      return reinterpret_cast<const float*>(stored);
    }
  }
  if (m.format == MatrixFormat::kF32) {
    kernels_.round(dense_row<float>(m, row, k), count, run);
  } else {
    alignas(64) float values[kDecodedRun];
    decode_row(m, row, k, count, values);
    kernels_.round(values, count, run);
  }
  if (count % 2 != 0) {
    run[count] = 0;
  }
  return reinterpret_cast<const float*>(run);
}

// B's rows run across the panels: two at a time make a row of pairs.
void Bf16Packing::straight(const BPart& part, u32* panels, i64 stride) const {
  const i64 width = kernels_.width;
  const i64 run = kDecodedColumns / width * width;
  const bool stored = part.matrix.format == MatrixFormat::kBf16;
  for (i64 j = 0; j < part.N; j += run) {
    const i64 count = std::min(run, part.N - j);
    u32* to = panels + j / width * stride;
    for (i64 k = 0; k < part.K; k += 2) {
      if (stored && k + 1 < part.K) {
        halves(part, k, j, count, to + k / 2 * width, stride);
      } else {
        pairs(part, k, j, count, to + k / 2 * width, stride);
      }
    }
  }
}

// Steps k and k + 1 of `count` columns from j on.
void Bf16Packing::pairs(const BPart& part, i64 k, i64 j, i64 count, u32* to, i64 stride) const {
  alignas(64) float values[2][kDecodedColumns];
  const float* rows[2];
  for (i64 s = 0; s < 2; ++s) {
    rows[s] = values[s];
    if (k + s >= part.K) {
      std::fill_n(values[s], count, 0.0F);
    } else if (part.matrix.format == MatrixFormat::kF32) {
      rows[s] = dense_row<float>(part.matrix, part.k + k + s, part.n + j);
    } else {
      decode_row(part.matrix, part.k + k + s, part.n + j, count, values[s]);
    }
  }
  const i64 width = kernels_.width;
  for (i64 c = 0; c < count; c += width, to += stride) {
    const i64 here = std::min(width, count - c);
    kernels_.interleave(rows[0] + c, rows[1] + c, here, to);
    std::fill(to + here, to + width, 0U);
  }
}

// The same where the values are stored as bf16.
void Bf16Packing::halves(const BPart& part, i64 k, i64 j, i64 count, u32* to, i64 stride) const {
  const u16* even_row = dense_row<u16>(part.matrix, part.k + k, part.n + j);
  const u16* odd_row = dense_row<u16>(part.matrix, part.k + k + 1, part.n + j);
  const i64 width = kernels_.width;
  for (i64 c = 0; c < count; c += width, to += stride) {
    const i64 here = std::min(width, count - c);
    kernels_.interleave_rounded(even_row + c, odd_row + c, here, to);
    std::fill(to + here, to + width, 0U);
  }
}

void Bf16Packing::rows(const TileA& a, i64 K, i64 count, i64 height, u16* to) const {
  const i64 stride = padded(K);
  if (a.col_stride == 1) {
    for (i64 r = 0; r < count; ++r) {
      kernels_.round(a.data + r * a.row_stride, K, to + r * stride);
    }
  } else {
    for (i64 r = 0; r < count; r += kTurnedRows) {
      turned({a.data + r, a.row_stride, a.col_stride}, K, std::min(kTurnedRows, count - r),
             to + r * stride, stride);
    }
  }
  for (i64 r = 0; r < count; ++r) {
    std::fill(to + r * stride + K, to + (r + 1) * stride, u16{0});
  }
  std::fill(to + count * stride, to + height * stride, u16{0});
}

// Rows of A that run across it: pairs of steps are made for all rows at once, then transposed.
void Bf16Packing::turned(const TileA& a, i64 K, i64 count, u16* to, i64 stride) const {
  alignas(64) u32 made[kTransposed * kTurnedRows];
  alignas(64) float whole[kTransposed * kTurnedRows];
  static constexpr float kZeros[kTurnedRows] = {};
  for (i64 k = 0; k < K; k += 2 * kTransposed) {
    const i64 steps = std::min(kTransposed, (K - k + 1) / 2);
    const float* rows[kTransposed];
    for (i64 s = 0; s < steps; ++s) {
      const float* first = a.data + (k + 2 * s) * a.col_stride;
      kernels_.interleave(first, k + 2 * s + 1 < K ? first + a.col_stride : kZeros, count,
                          made + s * kTurnedRows);
      rows[s] = reinterpret_cast<const float*>(made + s * kTurnedRows);
    }
    if (steps == kTransposed) {
      packing_.transpose(rows, steps, count, reinterpret_cast<float*>(to + k), kTransposed,
                         stride / 2);
      continue;
    }
    packing_.transpose(rows, steps, count, whole, kTransposed, kTransposed);
    for (i64 r = 0; r < count; ++r) {
      std::memcpy(to + r * stride + k, whole + r * kTransposed, steps * sizeof(float));
    }
  }
}

}  // namespace inlay::kernels
