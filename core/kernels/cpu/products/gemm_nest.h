// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>

#include "core/error.h"
#include "core/kernels/cpu/products/gemm_schemes.h"
#include "core/parallel.h"

// C = A B by panels (after Goto & van de Geijn 2008, "Anatomy of high-performance matrix
// multiplication"):
//
//   for each chunk of the contraction
//     for each run of as many groups of B's panels as the scratch holds
//       pack the groups, and with the first run A's rows, where A must be packed     tasks
//       (where few rows make one block, each group is packed by the task that multiplies it)
//       for each group x block of rows                                               tasks
//         for each tile's rows of A                       they stay in L1
//           for each panel of the group                   streams from the thread's L2
//             one tile of C
//
// Each value is packed once, by whichever thread; the groups that one block of rows meets follow
// one another, so that rows stay with the thread that had them in the product before (parallel.cc).
//
// Scratch: A's packed rows, and the groups.
//
// How panels look is up to the policy (gemm_blocked.cc). It has
//   height(), width()                     of a tile
//   panel_floats(K), rows_floats(K)       the size of a packed panel; of a packed run of rows
//   pack_columns(chunk, columns, to)      panel p of the columns starts at to + p * panel_floats(K)
//   packs_rows()                          whether A is packed at all
//   pack_rows(chunk, rows)                to rows.packed
//   begin(), end()                        around a task's products
//   min_groups()                          optional: in how many groups B is divided at least
//   multiply(chunk, columns, panels, rows, r)
//                                         C of the tile whose first row is rows.first + r
namespace inlay::kernels {

/// Columns [n, n + N) of C.
struct Columns {
  i64 n, N;
};

/// Rows [first, first + count) of A and C; those of A that are packed, at `packed`.
struct Rows {
  i64 first, count;
  float* packed;
};

/// Rows of A packed together: when they run across A, whole cache lines of each step.
inline constexpr i64 kRunRows = 64;

/// Prefetches the rows of A for the next tile. They come from memory and are needed all at once, so
/// each panel of the tile before prefetches an equal share of their lines.
class RowsAhead {
 public:
  RowsAhead() = default;
  RowsAhead(const float* data, i64 row_stride, i64 rows, i64 columns, i64 calls)
      : row_(data),
        row_stride_(row_stride),
        rows_(rows),
        columns_(columns),
        lines_per_call_(ceil_div(rows * ceil_div(columns, kLine), calls)) {}

  void fetch() {
    for (i64 n = 0; n < lines_per_call_ && rows_ > 0; ++n) {
      __builtin_prefetch(row_ + column_);
      column_ += kLine;
      if (column_ >= columns_) {
        column_ = 0;
        row_ += row_stride_;
        --rows_;
      }
    }
  }

 private:
  static constexpr i64 kLine = 16;  // floats

  const float* row_ = nullptr;
  i64 row_stride_ = 0, rows_ = 0, columns_ = 0, lines_per_call_ = 0, column_ = 0;
};

template <class Policy>
class PanelNest {
 public:
  PanelNest(const GemmArgs& args, const Policy& policy)
      : args_(args), policy_(policy), run_rows_(round_up(kRunRows, policy.height())) {
    for_chunks(args, [&](const Chunk& chunk) { longest_ = std::max(longest_, chunk.K); });
    panels_ = ceil_div(args.N, policy.width());
    const i64 at_most = std::max<i64>(1, kGroupFloats / policy.panel_floats(longest_));
    const i64 least = std::min(panels_, std::max(min_groups(), ceil_div(panels_, at_most)));
    const i64 group_panels = ceil_div(panels_, least);
    groups_ = ceil_div(panels_, group_panels);
    const i64 blocks = std::clamp<i64>(args.M / kMinBlockRows, 1, ceil_div(kMinTasks, groups_));
    block_rows_ = round_up(ceil_div(args.M, blocks), run_rows_);
    row_blocks_ = ceil_div(args.M, block_rows_);
    group_floats_ = round_up(policy.panel_floats(longest_) * group_panels, kLine);
    groups_at_once_ = std::min(groups_, std::max<i64>(1, kScratchFloats / group_floats_));
    run_floats_ = policy.packs_rows() ? round_up(policy.rows_floats(longest_), kLine) : 0;
  }

  i64 scratch() const { return kLine + runs() * run_floats_ + groups_at_once_ * group_floats_; }

  void run(std::span<float> scratch) {
    INLAY_ASSERT(static_cast<i64>(scratch.size()) >= this->scratch());
    const auto address = reinterpret_cast<std::uintptr_t>(scratch.data()) / sizeof(float);
    packed_rows_ = scratch.data() + (kLine - static_cast<i64>(address % kLine)) % kLine;
    packed_groups_ = packed_rows_ + runs() * run_floats_;
    for_chunks(args_, [&](const Chunk& chunk) {
      for (i64 first = 0; first < groups_; first += groups_at_once_) {
        run_groups(chunk, first, std::min(groups_at_once_, groups_ - first));
      }
    });
  }

 private:
  i64 min_groups() const {
    if constexpr (requires { policy_.min_groups(); }) {
      return policy_.min_groups();
    } else {
      const i64 row_blocks = std::max<i64>(1, args_.M / kMinBlockRows);
      return std::min(kMinGroups, ceil_div(kMinTasks, row_blocks));
    }
  }

  // A group: half an L2 of 2 MB; all that are packed: 4 MB.
  static constexpr i64 kGroupFloats = i64{1} << 18;
  static constexpr i64 kScratchFloats = i64{1} << 20;
  // With fewer tasks, some threads would wait for others at the end; with few rows, groups alone
  // must be enough of them.
  static constexpr i64 kMinTasks = 32;
  static constexpr i64 kMinGroups = 16;
  // With fewer rows a block, fetching a group for each would show.
  static constexpr i64 kMinBlockRows = 256;
  // Everything starts on a cache line.
  static constexpr i64 kLine = 16;

  i64 runs() const { return ceil_div(args_.M, run_rows_); }
  Rows run(i64 r) const {
    const i64 first = r * run_rows_;
    return {first, std::min(run_rows_, args_.M - first), packed_rows_ + r * run_floats_};
  }

  // Groups differ by one panel at most: a small last one would leave its thread waiting.
  Columns columns_of(i64 group) const {
    const i64 n = panels_ * group / groups_ * policy_.width();
    const i64 end = panels_ * (group + 1) / groups_ * policy_.width();
    return {n, std::min(end, args_.N) - n};
  }

  // Groups [first, first + count). Where one task has all rows of a group, it packs it too.
  void run_groups(const Chunk& chunk, i64 first, i64 count) const {
    const i64 packed_runs = first == 0 && policy_.packs_rows() ? runs() : 0;
    const bool apart = row_blocks_ > 1;
    parallel_for(packed_runs, [&](i64 task) { policy_.pack_rows(chunk, run(task)); });
    parallel_for(apart ? count : 0, [&](i64 task) { pack(chunk, first, first + task); });
    parallel_for(count * row_blocks_, [&](i64 task) {
      const i64 group = first + task % count;
      if (!apart) {
        pack(chunk, first, group);
      }
      multiply(chunk, first, group, task / count * block_rows_);
    });
  }

  void pack(const Chunk& chunk, i64 first_group, i64 group) const {
    policy_.pack_columns(chunk, columns_of(group),
                         packed_groups_ + (group - first_group) * group_floats_);
  }

  void multiply(const Chunk& chunk, i64 first_group, i64 group, i64 first_row) const {
    const Columns columns = columns_of(group);
    const float* panels = packed_groups_ + (group - first_group) * group_floats_;
    policy_.begin();
    const i64 end = std::min(args_.M, first_row + block_rows_);
    for (i64 r = first_row / run_rows_; r * run_rows_ < end; ++r) {
      const Rows rows = run(r);
      for (i64 i = 0; i < rows.count; i += policy_.height()) {
        policy_.multiply(chunk, columns, panels, rows, i);
      }
    }
    policy_.end();
  }

  const GemmArgs& args_;
  const Policy& policy_;
  const i64 run_rows_;
  i64 longest_ = 0;
  i64 panels_ = 0, groups_ = 0, block_rows_ = 0, row_blocks_ = 0;
  i64 group_floats_ = 0, groups_at_once_ = 0, run_floats_ = 0;
  float* packed_rows_ = nullptr;
  float* packed_groups_ = nullptr;
};

}  // namespace inlay::kernels
