// SPDX-License-Identifier: Apache-2.0
#include <cstdint>
#include <cstring>

#include "core/error.h"
#include "core/kernels/gemm_pack.h"
#include "core/kernels/gemm_schemes.h"
#include "core/parallel.h"

// C = A B by panels (after Goto & van de Geijn 2008, "Anatomy of high-performance matrix
// multiplication"):
//
//   for each chunk of the contraction
//     for each group of B's panels x block of rows      tasks, blocks of one group in a row
//       pack the group's panels                         unless the thread's last task did
//       for each tile's rows of A                       read where they lie; they stay in L1
//         for each panel of the group                   streams from the thread's L2
//           one tile of C
//
// The packed group is the thread's own: nobody waits for anybody, and no cache line travels between
// cores. That each thread packs for itself costs little, since a value packed is used as often as
// the thread has rows. Only an A that runs across the rows (a sum over tokens) is packed too, some
// tiles' rows at a time.
//
// Scratch, for each thread: the group, such rows of A, and the name of the group packed.
namespace inlay::kernels {
namespace {

// A group: half an L2 of 2 MB.
constexpr i64 kGroupFloats = i64{1} << 18;
// With fewer tasks, some threads would wait for others at the end.
constexpr i64 kMinTasks = 32;
// With fewer rows a task, packing would show.
constexpr i64 kMinBlockRows = 128;
// Rows of an A that runs across them, packed together: whole cache lines of each step.
constexpr i64 kPackedRows = 64;
// Everything starts on a cache line.
constexpr i64 kLine = 16;

// A thread's part of the scratch.
class Workspace {
 public:
  Workspace(float* floats, i64 b_floats) : floats_(floats), b_floats_(b_floats) {}

  static i64 size(i64 b_floats, i64 a_floats) { return kLine + b_floats + a_floats; }

  i64 packed_group() const {
    i64 group = 0;
    std::memcpy(&group, floats_, sizeof group);
    return group;
  }
  void set_packed_group(i64 group) { std::memcpy(floats_, &group, sizeof group); }
  float* b() const { return floats_ + kLine; }
  float* a() const { return floats_ + kLine + b_floats_; }

 private:
  float* floats_;
  i64 b_floats_;
};

bool a_in_place(const Piece& piece) {
  return piece.term->a_col_stride == 1;
}

class BlockedProduct {
 public:
  explicit BlockedProduct(const GemmArgs& args)
      : args_(args),
        tiles_(INLAY_SELECT(kGemmTiles)),
        packing_(INLAY_SELECT(kGemmPacking)),
        shape_(tiles_),
        longest_(longest_chunk(args)) {
    const i64 panels = shape_.count(args.N);
    const i64 at_most = std::max<i64>(1, kGroupFloats / std::max<i64>(1, longest_) / shape_.width);
    group_panels_ = ceil_div(panels, ceil_div(panels, at_most));
    groups_ = ceil_div(panels, group_panels_);
    const i64 blocks =
        std::clamp<i64>(args.M / kMinBlockRows, 1, ceil_div(kMinTasks, groups_));
    block_rows_ = round_up(ceil_div(args.M, blocks), tiles_.rows);
    row_blocks_ = ceil_div(args.M, block_rows_);
    b_floats_ = round_up(longest_ * group_panels_ * shape_.width, kLine);
    a_floats_ = a_is_packed() ? round_up(longest_ * round_up(kPackedRows, tiles_.rows), kLine) : 0;
  }

  i64 scratch() const { return kLine + num_threads() * Workspace::size(b_floats_, a_floats_); }

  void run(std::span<float> scratch) {
    INLAY_ASSERT(static_cast<i64>(scratch.size()) >= this->scratch());
    const auto address = reinterpret_cast<std::uintptr_t>(scratch.data()) / sizeof(float);
    scratch_ = scratch.data() + (kLine - static_cast<i64>(address % kLine)) % kLine;
    for_chunks(args_, [&](const Chunk& chunk) {
      for (int thread = 0; thread < num_threads(); ++thread) {
        workspace(thread).set_packed_group(-1);
      }
      parallel_for(groups_ * row_blocks_, [&](i64 task) {
        multiply(chunk, task / row_blocks_, task % row_blocks_ * block_rows_);
      });
    });
  }

 private:
  // Columns [n, n + N) of C.
  struct Columns {
    i64 n, N;
  };
  // Rows [first, first + count) of A and C; those of A that must be packed are at `packed`.
  struct RowsOfA {
    i64 first, count;
    float* packed;
  };

  bool a_is_packed() const {
    return args_.a_col_stride != 1 ||
           std::ranges::any_of(args_.more, [](const GemmTerm& t) { return t.a_col_stride != 1; });
  }

  Workspace workspace(int thread) const {
    return {scratch_ + thread * Workspace::size(b_floats_, a_floats_), b_floats_};
  }

  void multiply(const Chunk& chunk, i64 group, i64 first_row) const {
    const i64 n = group * group_panels_ * shape_.width;
    const Columns columns = {n, std::min(group_panels_ * shape_.width, args_.N - n)};
    Workspace mine = workspace(thread_index());
    if (mine.packed_group() != group) {
      pack(chunk, columns, mine.b());
      mine.set_packed_group(group);
    }
    const i64 end = std::min(args_.M, first_row + block_rows_);
    const i64 step = round_up(kPackedRows, tiles_.rows);
    for (i64 i = first_row; i < end; i += step) {
      const RowsOfA rows = {i, std::min(step, end - i), mine.a()};
      pack_rows(chunk, rows);
      for (i64 r = 0; r < rows.count; r += tiles_.rows) {
        multiply_rows(chunk, columns, rows, r, mine.b());
      }
    }
  }

  void pack(const Chunk& chunk, const Columns& columns, float* b) const {
    i64 k = 0;
    for (i64 p = 0; p < chunk.count; ++p) {
      pack_b(b_part(chunk.pieces[p], columns.n, columns.N), {b, chunk.K * shape_.width, k});
      k += chunk.pieces[p].K;
    }
  }

  // The pieces of A that run across the rows, in panels of a tile's height.
  void pack_rows(const Chunk& chunk, const RowsOfA& rows) const {
    float* to = rows.packed;
    for (i64 p = 0; p < chunk.count; ++p) {
      const Piece& piece = chunk.pieces[p];
      if (!a_in_place(piece)) {
        const TileA a = a_from(*piece.term, rows.first, piece.k);
        const i64 panel = piece.K * tiles_.rows;
        packing_.copy(a.data, a.col_stride, rows.count, piece.K, to, tiles_.rows, panel);
        to += panel * ceil_div(rows.count, tiles_.rows);
      }
    }
  }

  // Where the tile of row r finds its A, piece by piece.
  void find_a(const Chunk& chunk, const RowsOfA& rows, i64 r, TileSteps* steps) const {
    const float* packed = rows.packed;
    for (i64 p = 0; p < chunk.count; ++p) {
      const Piece& piece = chunk.pieces[p];
      steps[p] = {piece.K, a_from(*piece.term, rows.first + r, piece.k)};
      if (!a_in_place(piece)) {
        steps[p].a = {packed + r * piece.K, 1, tiles_.rows};
        packed += piece.K * tiles_.rows * ceil_div(rows.count, tiles_.rows);
      }
    }
  }

  void multiply_rows(const Chunk& chunk, const Columns& columns, const RowsOfA& block, i64 r,
                     const float* panels) const {
    TileSteps steps[kMaxPieces];
    find_a(chunk, block, r, steps);
    const i64 rows = std::min(tiles_.rows, block.count - r);
    for (i64 j = 0; j < columns.N; j += shape_.width) {
      const float* b = panels + j * chunk.K;
      const i64 width = shape_.width_of(j / shape_.width, columns.N);
      const i64 cols = std::min(width, columns.N - j);
      const TileOutput out = chunk_output(args_, chunk, block.first + r, columns.n + j);
      if (rows == tiles_.rows && cols == width) {
        tiles_.full[width / shape_.lanes - 1](steps, chunk.count, b, out);
      } else {
        part_of_tile(steps, chunk.count, b, width, rows, cols, out);
      }
    }
  }

  // A tile at the edge of C.
  void part_of_tile(const TileSteps* steps, i64 count, const float* b, i64 width, i64 rows,
                    i64 cols, const TileOutput& out) const {
    alignas(64) float sums[kMaxTileRows * kMaxTileWidth];
    std::fill_n(sums, rows * width, 0.0F);
    for (i64 p = 0; p < count; ++p) {
      tiles_.sum(steps[p].K, rows, width / shape_.lanes, steps[p].a, b, width, sums, width);
      b += steps[p].K * width;
    }
    tiles_.write(sums, width, rows, cols, out);
  }

  const GemmArgs& args_;
  const GemmTiles& tiles_;
  const GemmPacking& packing_;
  const PanelShape shape_;
  const i64 longest_;
  i64 group_panels_ = 0, groups_ = 0, block_rows_ = 0, row_blocks_ = 0;
  i64 b_floats_ = 0, a_floats_ = 0;
  float* scratch_ = nullptr;
};

}  // namespace

i64 longest_chunk(const GemmArgs& args) {
  i64 longest = 0;
  for_chunks(args, [&](const Chunk& chunk) { longest = std::max(longest, chunk.K); });
  return longest;
}

i64 blocked_scratch(const GemmArgs& args) {
  return BlockedProduct(args).scratch();
}

void blocked_product(const GemmArgs& args, std::span<float> scratch) {
  BlockedProduct(args).run(scratch);
}

}  // namespace inlay::kernels
