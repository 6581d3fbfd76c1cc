// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/kernels/cpu/products/gemm_nest.h"
#include "core/kernels/cpu/products/gemm_pack.h"

// Products of many rows in f32. A is read in place, unless it runs across the rows (a sum over
// tokens).
//
// Where bf16 products are asked for and the processor has no instructions for them, the same
// kernels multiply operands that were rounded in packing.
namespace inlay::kernels {
namespace {

class F32Panels {
 public:
  explicit F32Panels(const GemmArgs& args)
      : args_(args),
        rounds_(args.compute == GemmCompute::kBf16),
        tiles_(INLAY_SELECT(kGemmTiles)),
        packing_(INLAY_SELECT(kGemmPacking)),
        shape_(tiles_),
        streams_(can_stream(args)) {}

  i64 height() const { return tiles_.rows; }
  i64 width() const { return shape_.width; }
  i64 panel_floats(i64 K) const { return std::max<i64>(1, K) * shape_.width; }
  i64 rows_floats(i64 K) const { return K * round_up(kRunRows, tiles_.rows); }
  void begin() const {}
  void end() const { tiles_.finish_streams(); }
  bool packs_rows() const {
    return is_packed(args_) ||
           std::ranges::any_of(args_.more, [&](const auto& term) { return is_packed(term); });
  }

  void pack_columns(const Chunk& chunk, const Columns& columns, float* to) const {
    const i64 steps = packed_steps(chunk);
    i64 k = 0;
    for (i64 p = 0; p < chunk.count; ++p) {
      if (!is_prepacked(chunk.pieces[p])) {
        pack_b(b_part(chunk.pieces[p], columns.n, columns.N), {to, panel_floats(steps), k});
        k += chunk.pieces[p].K;
      }
    }
    if (rounds_) {
      for (i64 j = 0; j < columns.N; j += shape_.width) {
        packing_.round_to_bf16(to + j * steps,
                               steps * shape_.width_of(j / shape_.width, columns.N));
      }
    }
  }

  void pack_rows(const Chunk& chunk, const Rows& rows) const {
    float* to = rows.packed;
    for (i64 p = 0; p < chunk.count; ++p) {
      const Piece& piece = chunk.pieces[p];
      if (is_packed(*piece.term)) {
        pack_piece(piece, rows, to);
        to += packed_floats(piece, rows);
      }
    }
  }

  void multiply(const Chunk& chunk, const Columns& columns, const float* panels,
                const Rows& rows_of_a, i64 r) const {
    TileSteps steps[kMaxPieces];
    find_a(chunk, rows_of_a, r, steps);
    RowsAhead ahead = next_rows(chunk, rows_of_a, r, shape_.count(columns.N));
    const i64 rows = std::min(tiles_.rows, rows_of_a.count - r);
    const i64 packed = packed_steps(chunk);
    const bool in_parts = keeps_parts(chunk);
    for (i64 j = 0; j < columns.N; j += shape_.width) {
      ahead.fetch();
      find_b(chunk, columns.n + j, steps);
      const float* b = panels + j * packed;
      const i64 width = shape_.width_of(j / shape_.width, columns.N);
      const i64 cols = std::min(width, columns.N - j);
      TileOutput out = chunk_output(args_, chunk, rows_of_a.first + r, columns.n + j);
      out.stream = streams_ && chunk.first && chunk.last;
      if (rows == tiles_.rows && cols == width && !in_parts) {
        tiles_.full[width / shape_.lanes - 1](steps, chunk.count, b, out);
      } else {
        part_of_tile(chunk, steps, b, {rows_of_a.first + r, columns.n + j, rows, cols, width}, out);
      }
    }
  }

 private:
  // Most of a small first-level cache.
  static constexpr i64 kNearFloats = 6 << 10;

  bool is_packed(const GemmTerm& term) const { return rounds_ || term.a_col_stride != 1; }

  i64 packed_floats(const Piece& piece, const Rows& rows) const {
    return piece.K * round_up(rows.count, tiles_.rows);
  }

  // Panels of a tile's height.
  void pack_piece(const Piece& piece, const Rows& rows, float* to) const {
    const TileA a = a_from(*piece.term, rows.first, piece.k);
    const i64 height = tiles_.rows;
    if (a.col_stride != 1) {
      packing_.copy(a.data, a.col_stride, rows.count, piece.K, to, height, height * piece.K);
    } else {
      for (i64 r = 0; r < rows.count; r += height) {
        const float* from[kMaxTileRows];
        const i64 count = std::min(height, rows.count - r);
        for (i64 s = 0; s < count; ++s) {
          from[s] = a.data + (r + s) * a.row_stride;
        }
        packing_.transpose(from, count, piece.K, to + r * piece.K, height, height);
      }
    }
    if (rounds_) {
      packing_.round_to_bf16(to, packed_floats(piece, rows));
    }
  }

  // Rows that are too long to stay near come as the tile reads them.
  RowsAhead next_rows(const Chunk& chunk, const Rows& rows, i64 r, i64 panels) const {
    const Piece& piece = chunk.pieces[0];
    const i64 first = rows.first + r + tiles_.rows;
    const bool near = chunk.count > 0 && piece.K * tiles_.rows <= kNearFloats;
    if (!near || is_packed(*piece.term) || first >= args_.M) {
      return {};
    }
    const TileA a = a_from(*piece.term, first, piece.k);
    return {a.data, a.row_stride, std::min(tiles_.rows, args_.M - first), piece.K, panels};
  }

  // Where the tile of row r finds its A, piece by piece.
  void find_a(const Chunk& chunk, const Rows& rows, i64 r, TileSteps* steps) const {
    const float* packed = rows.packed;
    for (i64 p = 0; p < chunk.count; ++p) {
      const Piece& piece = chunk.pieces[p];
      steps[p] = {piece.K, a_from(*piece.term, rows.first + r, piece.k)};
      if (is_packed(*piece.term)) {
        steps[p].a = {packed + r * piece.K, 1, tiles_.rows};
        packed += packed_floats(piece, rows);
      }
    }
  }

  bool is_prepacked(const Piece& piece) const {
    return panels_of(*piece.term, args_.compute) != nullptr;
  }

  // Of the pieces whose part of B is packed for this product.
  i64 packed_steps(const Chunk& chunk) const {
    i64 steps = 0;
    for (i64 p = 0; p < chunk.count; ++p) {
      steps += is_prepacked(chunk.pieces[p]) ? 0 : chunk.pieces[p].K;
    }
    return steps;
  }

  // Where the others have it, for the panel of column n.
  void find_b(const Chunk& chunk, i64 n, TileSteps* steps) const {
    for (i64 p = 0; p < chunk.count; ++p) {
      const Piece& piece = chunk.pieces[p];
      if (const float* panels = panels_of(*piece.term, args_.compute); panels != nullptr) {
        steps[p].b = panels + piece.k * round_up(args_.N, shape_.lanes) + n * piece.K;
      }
    }
  }

  // Rows and columns of C that a tile has, from (i, j) on, and the width of its panel.
  struct Place {
    i64 i, j, rows, cols, width;
  };

  // A tile at the edge of C, or one of whose products only parts are kept.
  void part_of_tile(const Chunk& chunk, const TileSteps* steps, const float* b, const Place& place,
                    const TileOutput& out) const {
    // A whole tile's sums in memory, of which only what exists is written to C.
    alignas(64) float sums[kMaxTileRows * kMaxTileWidth];
    std::fill_n(sums, place.rows * place.width, 0.0F);
    for (i64 p = 0; p < chunk.count; ++p) {
      const GemmTerm& term = *chunk.pieces[p].term;
      const float* own = steps[p].b;
      const float*& panel = own != nullptr ? own : b;
      if (term.kept == nullptr) {
        add_steps(steps[p], panel, place, sums);
      } else {
        alignas(64) float product[kMaxTileRows * kMaxTileWidth];
        std::fill_n(product, place.rows * place.width, 0.0F);
        add_steps(steps[p], panel, place, product);
        tiles_.add_kept(product, place.width, place.rows, place.cols,
                        kept_of(args_, term, place.i, place.j), sums);
      }
      panel += steps[p].K * place.width;
    }
    tiles_.write(sums, place.width, place.rows, place.cols, out);
  }

  void add_steps(const TileSteps& steps, const float* b, const Place& place, float* sums) const {
    tiles_.sum(steps.K, place.rows, place.width / shape_.lanes, steps.a, b, place.width, sums,
               place.width);
  }

  const GemmArgs& args_;
  const bool rounds_;
  const GemmTiles& tiles_;
  const GemmPacking& packing_;
  const PanelShape shape_;
  const bool streams_;
};

}  // namespace

// Slice by slice, the panels of all columns one after the other, steps of a panel as in a product.
i64 blocked_panels_floats(const MatrixRef& m, bool b_transposed) {
  const auto [K, N] = sides(m, b_transposed);
  return K * round_up(N, PanelShape(INLAY_SELECT(kGemmTiles)).lanes);
}

void pack_blocked_panels(const MatrixRef& m, bool b_transposed, bool round, std::span<float> to) {
  const auto [K, N] = sides(m, b_transposed);
  const PanelShape shape(INLAY_SELECT(kGemmTiles));
  const i64 length = slice_length(K);
  const i64 slices = ceil_div(K, length);
  const i64 all = round_up(N, shape.lanes);
  parallel_for(slices * shape.count(N), [&, K = K, N = N](i64 task) {
    const i64 k = task % slices * length;
    const i64 n = task / slices * shape.width;
    const i64 steps = std::min(length, K - k);
    const i64 cols = std::min(shape.width, N - n);
    float* panel = to.data() + k * all + n * steps;
    pack_b({m, b_transposed, k, steps, n, cols}, {panel, steps * shape.width, 0});
    if (round) {
      INLAY_SELECT(kGemmPacking).round_to_bf16(panel, steps * round_up(cols, shape.lanes));
    }
  });
}

i64 blocked_scratch(const GemmArgs& args) {
  const F32Panels panels(args);
  return PanelNest(args, panels).scratch();
}

void blocked_product(const GemmArgs& args, std::span<float> scratch) {
  const F32Panels panels(args);
  PanelNest(args, panels).run(scratch);
}

}  // namespace inlay::kernels
