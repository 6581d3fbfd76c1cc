// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/gemm_pack.h"
#include "core/kernels/gemm_schemes.h"
#include "core/parallel.h"

// Decoding a token, or the gradient of a low-rank factor: B is large, and each of its values is
// used a few times only. Packing it for everybody would cost more than the product, so a task takes
// some columns through all of K by itself, in strips that stay in the first-level cache; A is read
// where it lies and the sums rest in memory between strips.
namespace inlay::kernels {
namespace {

// Panels a task when the rows of B run across them: enough to decode a good run of a row.
constexpr i64 kMaxFewGroup = 8;
constexpr i64 kMinFewGroup = 4;
constexpr i64 kMaxCols = kMaxFewGroup * kMaxTileWidth;
// A strip of B: 24 KB, which is 128 steps of one panel or 16 of eight.
constexpr i64 kFewStripFloats = 6144;

class ColumnsProduct {
 public:
  ColumnsProduct(const GemmArgs& args, i64 n, i64 N)
      : args_(args),
        tiles_(INLAY_SELECT(kGemmTiles)),
        shape_(tiles_),
        n_(n),
        N_(N),
        sum_stride_(round_up(N, shape_.lanes)) {}

  void run() {
    const i64 steps = kFewStripFloats / sum_stride_ / 16 * 16;
    for_chunks(args_, [&](const Chunk& chunk) {
      std::fill_n(sums_, args_.M * sum_stride_, 0.0F);
      for (i64 p = 0; p < chunk.count; ++p) {
        const Piece& piece = chunk.pieces[p];
        for (i64 k = 0; k < piece.K; k += steps) {
          add_strip({piece.term, piece.k + k, std::min(steps, piece.K - k)});
        }
      }
      tiles_.write(sums_, sum_stride_, args_.M, N_, chunk_output(args_, chunk, 0, n_));
    });
  }

 private:
  void add_strip(const Piece& strip) {
    const BPart part = b_part(strip, n_, N_);
    const float* rows = rows_in_place(part.matrix, part.transposed, part.k, part.n);
    if (rows == nullptr) {
      pack_b(part, {strip_, part.K * shape_.width, 0});
    }
    for (i64 p = 0; p < shape_.count(N_); ++p) {
      const i64 j = p * shape_.width;
      const i64 width = shape_.width_of(p, N_);
      if (rows == nullptr) {
        add_panel(strip, p, strip_ + p * strip.K * shape_.width, width);
      } else if (j + width <= N_) {
        add_panel(strip, p, rows + j, part.matrix.row_bytes / 4);
      } else {  // the tile would read past the ends of the rows
        pack_b(b_part(strip, n_ + j, N_ - j), {strip_, 0, 0});
        add_panel(strip, p, strip_, width);
      }
    }
  }

  void add_panel(const Piece& strip, i64 p, const float* b, i64 b_stride) {
    for (i64 i = 0; i < args_.M; i += tiles_.rows) {
      tiles_.sum(strip.K, std::min(tiles_.rows, args_.M - i), shape_.width_of(p, N_) / shape_.lanes,
                 a_from(*strip.term, i, strip.k), b, b_stride,
                 sums_ + i * sum_stride_ + p * shape_.width, sum_stride_);
    }
  }

  const GemmArgs& args_;
  const GemmTiles& tiles_;
  const PanelShape shape_;
  const i64 n_, N_, sum_stride_;
  alignas(64) float strip_[kFewStripFloats];
  alignas(64) float sums_[kFewRows * kMaxCols];
};

}  // namespace

void few_rows_product(const GemmArgs& args) {
  const PanelShape shape(INLAY_SELECT(kGemmTiles));
  const i64 panels = shape.count(args.N);
  // A transposed B is read along its rows, one panel at a time.
  const i64 group = args.b_transposed ? 1 : std::clamp(panels / 8, kMinFewGroup, kMaxFewGroup);
  parallel_for(ceil_div(panels, group), [&](i64 task) {
    const i64 n = task * group * shape.width;
    ColumnsProduct(args, n, std::min(group * shape.width, args.N - n)).run();
  });
}

}  // namespace inlay::kernels
