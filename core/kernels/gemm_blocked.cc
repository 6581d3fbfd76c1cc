// SPDX-License-Identifier: Apache-2.0
#include <cstdint>

#include "core/error.h"
#include "core/kernels/gemm_pack.h"
#include "core/kernels/gemm_schemes.h"
#include "core/parallel.h"

// C = A B by panels (Goto & van de Geijn 2008, "Anatomy of high-performance matrix
// multiplication"):
//
//   for each block of columns, for each chunk of K
//     pack B[chunk, block] into panels                  shared by all threads
//     for each block of rows x group of panels          tasks
//       pack A[rows, chunk] into panels                 of the thread, stays in its L2
//       for each panel of B                             comes from L3 once a task, then is in L2
//         for each panel of A
//           one tile of C
//
// Scratch: the packed B, kBlockFloats at most, and a block of A for each thread.
namespace inlay::kernels {
namespace {

// 4 MB of packed B.
constexpr i64 kBlockFloats = i64{1} << 20;
// Rows of a block of A: sixteen panels. They share out the first touch of each panel of B.
constexpr i64 kBlockRows = 128;
// With fewer panels of B a task, packing A for them would show: 3 % of the time at six.
constexpr i64 kMinGroup = 6;
// With fewer tasks, some threads would wait for others at the end.
constexpr i64 kMinTasks = 16;
// So few panels of B use a value of A too seldom to pay for packing it.
constexpr i64 kFewPanels = 2;
// Rows of a B that runs across the panels are packed so many a task.
constexpr i64 kPackedRows = 32;
// Panels start on a cache line.
constexpr i64 kLine = 16;

// M in nearly equal blocks of whole tiles.
i64 block_rows(i64 M, i64 tile_rows) {
  return round_up(ceil_div(M, ceil_div(M, kBlockRows)), tile_rows);
}

class BlockedProduct {
 public:
  explicit BlockedProduct(const GemmArgs& args)
      : args_(args),
        tiles_(INLAY_SELECT(kGemmTiles)),
        packing_(INLAY_SELECT(kGemmPacking)),
        shape_(tiles_),
        chunk_(chunk_length(args.K)),
        block_cols_(std::min(std::max<i64>(1, kBlockFloats / chunk_ / shape_.width) * shape_.width,
                             round_up(args.N, shape_.lanes))),
        block_rows_(block_rows(args.M, tiles_.rows)),
        a_in_place_(args.a_col_stride == 1 && shape_.count(args.N) <= kFewPanels) {}

  i64 scratch() const { return kLine + packed_b_floats() + num_threads() * packed_a_floats(); }

  void run(std::span<float> scratch) {
    INLAY_ASSERT(static_cast<i64>(scratch.size()) >= this->scratch());
    const auto address = reinterpret_cast<std::uintptr_t>(scratch.data()) / sizeof(float);
    packed_b_ = scratch.data() + (kLine - static_cast<i64>(address % kLine)) % kLine;
    packed_a_ = packed_b_ + packed_b_floats();
    for (i64 n = 0; n < args_.N; n += block_cols_) {
      for_chunks(args_.K, n, std::min(block_cols_, args_.N - n), [&](const Slab& slab) {
        pack(slab);
        multiply(slab);
      });
    }
  }

 private:
  // Rows [i, i + rows) of C and the chunk's part of A that makes them: panels of its own when
  // packed, else where the caller has it.
  struct RowBlock {
    i64 i, rows;
    const float* packed;
  };

  i64 packed_b_floats() const { return round_up(chunk_ * block_cols_, kLine); }
  i64 packed_a_floats() const { return a_in_place_ ? 0 : round_up(chunk_ * block_rows_, kLine); }
  i64 panel_stride(const Slab& slab) const { return slab.K * shape_.width; }

  void pack(const Slab& slab) const {
    if (args_.b_transposed) {
      parallel_for(shape_.count(slab.N), [&](i64 p) {
        const i64 j = p * shape_.width;
        pack_b({args_.b, true, slab.k, slab.K, slab.n + j, std::min(shape_.width, slab.N - j)},
               {packed_b_ + p * panel_stride(slab), 0, 0});
      });
    } else {
      parallel_rows(slab.K, kPackedRows, [&](i64 begin, i64 end) {
        pack_b({args_.b, false, slab.k + begin, end - begin, slab.n, slab.N},
               {packed_b_, panel_stride(slab), begin});
      });
    }
  }

  void multiply(const Slab& slab) const {
    const i64 panels = shape_.count(slab.N);
    const i64 row_blocks = ceil_div(args_.M, block_rows_);
    const i64 group = std::max(kMinGroup, ceil_div(panels, ceil_div(kMinTasks, row_blocks)));
    const i64 groups = ceil_div(panels, group);
    parallel_for(row_blocks * groups, [&](i64 task) {
      const i64 i = task / groups * block_rows_;
      const i64 p = task % groups * group;
      RowBlock block = {i, std::min(block_rows_, args_.M - i), nullptr};
      if (!a_in_place_) {
        float* a = packed_a_ + thread_index() * packed_a_floats();
        pack_a(slab, block, a);
        block.packed = a;
      }
      multiply_block(slab, block, p, std::min(panels, p + group));
    });
  }

  void pack_a(const Slab& slab, const RowBlock& block, float* panels) const {
    const TileA a = a_from(args_, block.i, slab.k);
    const i64 height = tiles_.rows;
    if (a.col_stride != 1) {
      packing_.copy(a.data, a.col_stride, block.rows, slab.K, panels, height, height * slab.K);
      return;
    }
    for (i64 r = 0; r < block.rows; r += height) {
      const float* rows[kMaxTileRows];
      const i64 count = std::min(height, block.rows - r);
      for (i64 s = 0; s < count; ++s) {
        rows[s] = a.data + (r + s) * a.row_stride;
      }
      packing_.transpose(rows, count, slab.K, panels + r * slab.K, height, height);
    }
  }

  void multiply_block(const Slab& slab, const RowBlock& block, i64 panel_begin,
                      i64 panel_end) const {
    for (i64 p = panel_begin; p < panel_end; ++p) {
      const float* following = packed_b_ + std::min(p + 1, panel_end - 1) * panel_stride(slab);
      for (i64 r = 0; r < block.rows; r += tiles_.rows) {
        // Each tile fetches its share of the panel to come.
        const i64 share = r / tiles_.rows * slab.K * kPrefetchedFloats;
        tile(slab, block, r, p, following + (share < panel_stride(slab) ? share : 0));
      }
    }
  }

  void tile(const Slab& slab, const RowBlock& block, i64 r, i64 p, const float* next) const {
    const i64 j = p * shape_.width;
    const i64 width = shape_.width_of(p, slab.N);
    const i64 rows = std::min(tiles_.rows, block.rows - r);
    const i64 cols = std::min(width, slab.N - j);
    const float* b = packed_b_ + p * panel_stride(slab);
    const TileOutput out = chunk_output(args_, slab.k, block.i + r, slab.n + j);
    if (block.packed == nullptr) {
      part_of_tile(slab.K, a_from(args_, block.i + r, slab.k), rows, b, width, rows, cols, out);
      return;
    }
    const float* a = block.packed + r * slab.K;
    if (rows == tiles_.rows && cols == width) {
      tiles_.full[width / shape_.lanes - 1](slab.K, a, b, next, out);
    } else {
      part_of_tile(slab.K, {a, 1, tiles_.rows}, tiles_.rows, b, width, rows, cols, out);
    }
  }

  // A tile with `computed` rows of sums, of which [rows, cols] belong to C.
  void part_of_tile(i64 K, const TileA& a, i64 computed, const float* b, i64 width, i64 rows,
                    i64 cols, const TileOutput& out) const {
    alignas(64) float sums[kMaxTileRows * kMaxTileWidth];
    std::fill_n(sums, computed * width, 0.0F);
    tiles_.sum(K, computed, width / shape_.lanes, a, b, width, sums, width);
    tiles_.write(sums, width, rows, cols, out);
  }

  const GemmArgs& args_;
  const GemmTiles& tiles_;
  const GemmPacking& packing_;
  const PanelShape shape_;
  const i64 chunk_, block_cols_, block_rows_;
  const bool a_in_place_;
  float* packed_b_ = nullptr;
  float* packed_a_ = nullptr;
};

}  // namespace

i64 blocked_scratch(const GemmArgs& args) {
  return BlockedProduct(args).scratch();
}

void blocked_product(const GemmArgs& args, std::span<float> scratch) {
  BlockedProduct(args).run(scratch);
}

}  // namespace inlay::kernels
