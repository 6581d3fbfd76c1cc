// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/kernels/gemm_bf16_kernels.h"
#include "core/kernels/gemm_nest.h"
#include "core/kernels/gemm_pack.h"

// Products of operands rounded to bf16, with f32 sums: the same loop nest, panels of pairs. Both
// operands are rounded while they are packed. Each piece of a chunk starts at an even step.
namespace inlay::kernels {
namespace {

constexpr i64 kMaxHeight = 32;
constexpr i64 kMaxWidth = 48;
// The transposing kernel takes so many rows at once.
constexpr i64 kTransposed = 16;
// Values of a row decoded and rounded at once: sixteen such runs stay in the first-level cache.
constexpr i64 kDecodedRun = 512;
// Columns decoded at once when B's rows run across the panels.
constexpr i64 kDecodedColumns = 1536;

constexpr i64 even(i64 K) {
  return round_up(K, 2);
}

class Bf16Panels {
 public:
  Bf16Panels(const GemmArgs& args, const GemmBf16& kernels)
      : args_(args),
        kernels_(kernels),
        tiles_(INLAY_SELECT(kGemmTiles)),
        packing_(INLAY_SELECT(kGemmPacking)) {}

  i64 height() const { return kernels_.height; }
  i64 width() const { return kernels_.width; }
  i64 panel_floats(i64 K) const { return longest_padded(K) / 2 * kernels_.width; }
  i64 rows_floats(i64 K) const {
    return longest_padded(K) / 2 * round_up(kRunRows, kernels_.height);
  }

  bool packs_rows() const { return true; }
  void begin() const { kernels_.begin(); }
  void end() const { kernels_.end(); }

  void pack_columns(const Chunk& chunk, const Columns& columns, float* to) const {
    auto* panels = reinterpret_cast<u32*>(to);
    const i64 stride = panel_floats(chunk.K);
    i64 k = 0;
    for (i64 p = 0; p < chunk.count; ++p) {
      const BPart part = b_part(chunk.pieces[p], columns.n, columns.N);
      if (part.transposed) {
        pack_transposed(part, panels + k / 2 * kernels_.width, stride);
      } else {
        pack_straight(part, panels + k / 2 * kernels_.width, stride);
      }
      k += even(part.K);
    }
    for (i64 j = 0; j < columns.N; j += kernels_.width) {
      u32* panel = panels + j / kernels_.width * stride;
      std::fill(panel + k / 2 * kernels_.width, panel + padded(k) / 2 * kernels_.width, 0U);
    }
  }

  void pack_rows(const Chunk& chunk, const Rows& rows) const {
    auto* to = reinterpret_cast<u16*>(rows.packed);
    const i64 stride = padded_steps(chunk);
    i64 k = 0;
    for (i64 p = 0; p < chunk.count; ++p) {
      const Piece& piece = chunk.pieces[p];
      const TileA a = a_from(*piece.term, rows.first, piece.k);
      if (a.col_stride == 1) {
        round_rows(a, piece.K, rows.count, to + k, stride);
      } else {
        turn_rows(a, piece.K, rows.count, to + k, stride);
      }
      k += even(piece.K);
    }
    for (i64 r = 0; r < round_up(rows.count, kernels_.height); ++r) {
      const i64 from = r < rows.count ? k : 0;
      std::fill_n(to + r * stride + from, stride - from, u16{0});
    }
  }

  void multiply(const Chunk& chunk, const Columns& columns, const float* panels,
                const Rows& rows_of_a, i64 r) const {
    const i64 K = padded_steps(chunk);
    const u16* a = reinterpret_cast<const u16*>(rows_of_a.packed) + r * K;
    const u32* b = reinterpret_cast<const u32*>(panels);
    const i64 rows = std::min(kernels_.height, rows_of_a.count - r);
    alignas(64) float sums[kMaxHeight * kMaxWidth];
    for (i64 j = 0; j < columns.N; j += kernels_.width) {
      kernels_.product(K, rows, a, K, b, sums);
      tiles_.write(sums, kernels_.width, rows, std::min(kernels_.width, columns.N - j),
                   chunk_output(args_, chunk, rows_of_a.first + r, columns.n + j));
      b += panel_floats(chunk.K);
    }
  }

 private:
  i64 padded(i64 K) const { return round_up(K, kernels_.step); }
  // Room for K steps of which each piece may be odd.
  i64 longest_padded(i64 K) const { return std::max(padded(K + kMaxPieces), kernels_.step); }
  i64 padded_steps(const Chunk& chunk) const {
    i64 k = 0;
    for (i64 p = 0; p < chunk.count; ++p) {
      k += even(chunk.pieces[p].K);
    }
    return padded(k);
  }

  // B's columns are rows in memory: a pair lies together, and pairs are transposed as floats are.
  void pack_transposed(const BPart& part, u32* panels, i64 stride) const {
    for (i64 j = 0; j < part.N; j += kTransposed) {
      u32* to = panels + j / kernels_.width * stride + j % kernels_.width;
      const i64 count = std::min(kTransposed, part.N - j);
      for (i64 k = 0; k < part.K; k += kDecodedRun) {
        const i64 steps = std::min(kDecodedRun, part.K - k);
        alignas(64) u16 runs[kTransposed * kDecodedRun];
        const float* rows[kTransposed];
        for (i64 c = 0; c < count; ++c) {
          u16* run = runs + c * kDecodedRun;
          decode_rounded(part.matrix, part.n + j + c, part.k + k, steps, run);
          rows[c] = reinterpret_cast<const float*>(run);
        }
        packing_.transpose(rows, count, even(steps) / 2,
                           reinterpret_cast<float*>(to + k / 2 * kernels_.width), kTransposed,
                           kernels_.width);
      }
    }
    clear_missing(part, panels, stride);
  }

  // Columns up to the end of the last panel that no run of sixteen reached.
  void clear_missing(const BPart& part, u32* panels, i64 stride) const {
    const i64 reached = round_up(part.N, kTransposed) % kernels_.width;
    if (reached != 0) {
      u32* panel = panels + part.N / kernels_.width * stride;
      for (i64 k2 = 0; k2 < even(part.K) / 2; ++k2) {
        std::fill(panel + k2 * kernels_.width + reached, panel + (k2 + 1) * kernels_.width, 0U);
      }
    }
  }

  // run[0 .. count) and, when count is odd, a zero after it.
  void decode_rounded(const MatrixRef& m, i64 row, i64 col, i64 count, u16* run) const {
    alignas(64) float values[kDecodedRun];
    decode_row(m, row, col, count, values);
    kernels_.round(values, count, run);
    run[count] = count % 2 == 0 ? run[count] : u16{0};
  }

  // B's rows run across the panels: two at a time make a row of pairs.
  void pack_straight(const BPart& part, u32* panels, i64 stride) const {
    const i64 run = kDecodedColumns / kernels_.width * kernels_.width;
    for (i64 j = 0; j < part.N; j += run) {
      BPart columns = part;
      columns.n += j;
      columns.N = std::min(run, part.N - j);
      pack_pairs(columns, panels + j / kernels_.width * stride, stride);
    }
  }

  void pack_pairs(const BPart& part, u32* panels, i64 stride) const {
    alignas(64) float values[2][kDecodedColumns];
    for (i64 k = 0; k < part.K; k += 2) {
      const float* rows[2];
      for (i64 s = 0; s < 2; ++s) {
        rows[s] = values[s];
        if (k + s >= part.K) {
          std::fill_n(values[s], part.N, 0.0F);
        } else if (const float* lies =
                       rows_in_place(part.matrix, part.transposed, part.k + k + s, part.n)) {
          rows[s] = lies;
        } else {
          decode_row(part.matrix, part.k + k + s, part.n, part.N, values[s]);
        }
      }
      for (i64 j = 0; j < part.N; j += kernels_.width) {
        const i64 count = std::min(kernels_.width, part.N - j);
        u32* to = panels + j / kernels_.width * stride + k / 2 * kernels_.width;
        kernels_.interleave(rows[0] + j, rows[1] + j, count, to);
        std::fill(to + count, to + kernels_.width, 0U);
      }
    }
  }

  void round_rows(const TileA& a, i64 K, i64 count, u16* to, i64 stride) const {
    for (i64 r = 0; r < count; ++r) {
      kernels_.round(a.data + r * a.row_stride, K, to + r * stride);
      if (K % 2 != 0) {
        to[r * stride + K] = 0;
      }
    }
  }

  // Rows of A that run across it: pairs of steps are made for all rows at once, then transposed.
  void turn_rows(const TileA& a, i64 K, i64 count, u16* to, i64 stride) const {
    alignas(64) u32 pairs[kTransposed * kRunRows];
    static constexpr float kZeros[kRunRows] = {};
    for (i64 k = 0; k < K; k += 2 * kTransposed) {
      const i64 made = std::min(kTransposed, (K - k + 1) / 2);
      const float* rows[kTransposed];
      for (i64 s = 0; s < made; ++s) {
        const float* first = a.data + (k + 2 * s) * a.col_stride;
        kernels_.interleave(first, k + 2 * s + 1 < K ? first + a.col_stride : kZeros, count,
                            pairs + s * kRunRows);
        rows[s] = reinterpret_cast<const float*>(pairs + s * kRunRows);
      }
      transpose_pairs(rows, made, count, to + k, stride);
    }
  }

  // to[r][s] = rows[s][r], in pairs.
  void transpose_pairs(const float* const* rows, i64 made, i64 count, u16* to, i64 stride) const {
    if (made == kTransposed) {
      packing_.transpose(rows, made, count, reinterpret_cast<float*>(to), kTransposed, stride / 2);
      return;
    }
    alignas(64) float whole[kTransposed * kRunRows];
    packing_.transpose(rows, made, count, whole, kTransposed, kTransposed);
    for (i64 r = 0; r < count; ++r) {
      std::memcpy(to + r * stride, whole + r * kTransposed, made * sizeof(float));
    }
  }

  const GemmArgs& args_;
  const GemmBf16& kernels_;
  const GemmTiles& tiles_;
  const GemmPacking& packing_;
};

}  // namespace

i64 bf16_scratch(const GemmArgs& args, const GemmBf16& kernels) {
  const Bf16Panels panels(args, kernels);
  return PanelNest(args, panels).scratch();
}

void bf16_product(const GemmArgs& args, const GemmBf16& kernels, std::span<float> scratch) {
  const Bf16Panels panels(args, kernels);
  PanelNest(args, panels).run(scratch);
}

}  // namespace inlay::kernels
