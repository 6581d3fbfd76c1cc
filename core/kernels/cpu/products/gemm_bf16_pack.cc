// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/products/gemm_bf16_pack.h"

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/kernels/cpu/products/gemm_schemes.h"

namespace inlay::kernels {
namespace {

// Columns of a panel that are stored together; the transposing kernel takes so many rows at once.
constexpr i64 kColumns = 16;
// Values of a row decoded and rounded at once: sixteen such runs stay in the first-level cache.
constexpr i64 kDecodedRun = 512;
// Columns decoded at once when B's rows run across the panels.
constexpr i64 kDecodedColumns = 512;
// Rows of B asked for ahead where only short pieces of them are read, which no processor foresees.
constexpr i64 kRowsAhead = 96;
// Rows of A turned at once.
constexpr i64 kTurnedRows = 64;

constexpr i64 even(i64 K) {
  return round_up(K, 2);
}

}  // namespace

void Bf16Packing::columns(const BPart& part, i64 k2, u32* panels, i64 stride) const {
  if (part.transposed) {
    transposed(part, k2, panels, stride);
  } else {
    straight(part, k2, panels, stride);
  }
  for (i64 j = 0; j < part.N; j += kernels_.width) {
    clear(panels + j / kernels_.width * stride, kernels_.panel_width(part.N - j),
          k2 + even(part.K) / 2, k2 + padded(part.K) / 2, 0);
  }
}

// Pairs [k2, end) of a panel's columns from j on, a multiple of 16.
void Bf16Packing::clear(u32* panel, i64 width, i64 k2, i64 end, i64 j) const {
  for (; k2 < end; ++k2) {
    for (i64 c = j; c < width; c += kColumns) {
      std::fill_n(panel + kernels_.at(k2, c, width), kColumns, 0U);
    }
  }
}

// B's columns are rows in memory: a pair is together, and pairs are transposed as floats are.
void Bf16Packing::transposed(const BPart& part, i64 k2, u32* panels, i64 stride) const {
  const i64 width = kernels_.width;
  alignas(64) u16 runs[kColumns * kDecodedRun];
  for (i64 j = 0; j < part.N; j += kColumns) {
    u32* panel = panels + j / width * stride;
    const i64 wide = kernels_.panel_width(part.N - j / width * width);
    const i64 count = std::min(kColumns, part.N - j);
    for (i64 k = 0; k < part.K; k += kDecodedRun) {
      const i64 steps = std::min(kDecodedRun, part.K - k);
      const float* rows[kColumns];
      for (i64 c = 0; c < count; ++c) {
        rows[c] = rounded_run(part, part.n + j + c, part.k + k, steps, runs + c * kDecodedRun);
      }
      turn_columns(rows, count, even(steps) / 2, panel + kernels_.at(k2 + k / 2, j % width, wide),
                   wide);
    }
  }
  const i64 last = (part.N - 1) / width * width;
  const i64 wide = kernels_.panel_width(part.N - last);
  clear(panels + last / width * stride, wide, k2, k2 + even(part.K) / 2,
        round_up(part.N - last, kColumns));
}

// Pairs of 16 columns from the first of a block on, into a panel so wide.
void Bf16Packing::turn_columns(const float** rows, i64 count, i64 pairs, u32* to, i64 width) const {
  if (kernels_.block == 1) {
    packing_.transpose(rows, count, pairs, reinterpret_cast<float*>(to), kColumns, width);
    return;
  }
  for (i64 done = 0; done < pairs; done += kernels_.block) {
    packing_.transpose(rows, count, std::min(kernels_.block, pairs - done),
                       reinterpret_cast<float*>(to + done * width), kColumns, kColumns);
    for (i64 c = 0; c < count; ++c) {
      rows[c] += kernels_.block;
    }
  }
}

// `count` values of a stored row as bf16, in place or in `run`; when count is odd, a zero
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
void Bf16Packing::straight(const BPart& part, i64 k2, u32* panels, i64 stride) const {
  const i64 width = kernels_.width;
  const i64 run = kDecodedColumns / width * width;
  const bool stored = part.matrix.format == MatrixFormat::kBf16;
  for (i64 j = 0; j < part.N; j += run) {
    const i64 count = std::min(run, part.N - j);
    u32* to = panels + j / width * stride;
    for (i64 k = 0; k < part.K; k += 2) {
      if (stored && k + 1 < part.K) {
        halves(part, k, j, count, k2 + k / 2, to, stride);
      } else {
        pairs(part, k, j, count, k2 + k / 2, to, stride);
      }
    }
  }
}

// body(c, n, where) for columns that are together in a row of pairs, n of which exist, up to the
// end of the last panel: where their pairs k2 go. What does not exist is cleared.
template <class Body>
void Bf16Packing::for_columns(i64 count, u32* panels, i64 stride, i64 k2, Body body) const {
  for (i64 j = 0; j < count; j += kernels_.width, panels += stride) {
    const i64 wide = kernels_.panel_width(count - j);
    const i64 together = kernels_.block == 1 ? wide : kColumns;
    for (i64 c = 0; c < wide; c += together) {
      u32* to = panels + kernels_.at(k2, c, wide);
      const i64 here = std::clamp<i64>(count - j - c, 0, together);
      if (here > 0) {
        body(j + c, here, to);
      }
      std::fill(to + here, to + together, 0U);
    }
  }
}

// Steps k and k + 1 of `count` columns from j on.
void Bf16Packing::pairs(const BPart& part, i64 k, i64 j, i64 count, i64 k2, u32* to,
                        i64 stride) const {
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
  for_columns(count, to, stride, k2, [&](i64 c, i64 here, u32* where) {
    kernels_.interleave(rows[0] + c, rows[1] + c, here, where);
  });
}

// The same where the values are stored as bf16.
void Bf16Packing::halves(const BPart& part, i64 k, i64 j, i64 count, i64 k2, u32* to,
                         i64 stride) const {
  const u16* even_row = dense_row<u16>(part.matrix, part.k + k, part.n + j);
  const u16* odd_row = dense_row<u16>(part.matrix, part.k + k + 1, part.n + j);
  for (i64 c = 0; c < count; c += 32) {
    __builtin_prefetch(even_row + c + kRowsAhead * part.matrix.row_bytes / 2);
    __builtin_prefetch(odd_row + c + kRowsAhead * part.matrix.row_bytes / 2);
  }
  for_columns(count, to, stride, k2, [&](i64 c, i64 here, u32* where) {
    kernels_.interleave_rounded(even_row + c, odd_row + c, here, where);
  });
}

void Bf16Packing::rows(const GemmTerm& term, i64 i, i64 k, i64 K, i64 count, i64 height,
                       u16* to) const {
  const i64 stride = row_stride(K);
  if (term.a_bf16 != nullptr) {
    for (i64 r = 0; r < count; ++r) {
      std::copy_n(term.a_bf16 + (i + r) * term.a_row_stride + k, K, to + r * stride);
    }
  } else if (term.a_col_stride == 1) {
    for (i64 r = 0; r < count; ++r) {
      kernels_.round(term.a + (i + r) * term.a_row_stride + k, K, to + r * stride);
    }
  } else {
    const TileA a = a_from(term, i, k);
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
  alignas(64) u32 made[kColumns * kTurnedRows];
  alignas(64) float whole[kColumns * kTurnedRows];
  static constexpr float kZeros[kTurnedRows] = {};
  for (i64 k = 0; k < K; k += 2 * kColumns) {
    const i64 steps = std::min(kColumns, (K - k + 1) / 2);
    const float* rows[kColumns];
    for (i64 s = 0; s < steps; ++s) {
      const float* first = a.data + (k + 2 * s) * a.col_stride;
      kernels_.interleave(first, k + 2 * s + 1 < K ? first + a.col_stride : kZeros, count,
                          made + s * kTurnedRows);
      rows[s] = reinterpret_cast<const float*>(made + s * kTurnedRows);
    }
    if (steps == kColumns) {
      packing_.transpose(rows, steps, count, reinterpret_cast<float*>(to + k), kColumns,
                         stride / 2);
      continue;
    }
    packing_.transpose(rows, steps, count, whole, kColumns, kColumns);
    for (i64 r = 0; r < count; ++r) {
      std::memcpy(to + r * stride + k, whole + r * kColumns, steps * sizeof(float));
    }
  }
}

}  // namespace inlay::kernels
