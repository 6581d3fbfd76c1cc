// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>

#include "core/error.h"
#include "core/kernels/gemm_schemes.h"
#include "core/parallel.h"

// C = A B by panels (after Goto & van de Geijn 2008, "Anatomy of high-performance matrix
// multiplication"):
//
//   for each chunk of the contraction
//     for each run of A's rows                          tasks, where A must be packed
//       pack it
//     for each group of B's panels x block of rows      tasks, blocks of one group in a row
//       pack the group's panels                         unless the thread's last task did
//       for each tile's rows of A                       they stay in L1
//         for each panel of the group                   streams from the thread's L2
//           one tile of C
//
// The packed group is the thread's own, so no cache line of it travels between cores. Where several
// threads pack the same group it costs little: a value packed is used as often as the block has
// rows, and with few rows there is one block only. A's packed rows are everybody's, since each is
// used with every group.
//
// Scratch: A's packed rows, and for each thread the group and the name of the group packed.
//
// How panels look is the policy's affair (gemm_blocked.cc: f32; gemm_bf16.cc: pairs of bf16). It
// has
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

template <class Policy>
class PanelNest {
 public:
  PanelNest(const GemmArgs& args, const Policy& policy)
      : args_(args), policy_(policy), run_rows_(round_up(kRunRows, policy.height())) {
    for_chunks(args, [&](const Chunk& chunk) { longest_ = std::max(longest_, chunk.K); });
    const i64 panels = ceil_div(args.N, policy.width());
    const i64 at_most = std::max<i64>(1, kGroupFloats / policy.panel_floats(longest_));
    const i64 least = std::min(panels, std::max(min_groups(), ceil_div(panels, at_most)));
    group_panels_ = ceil_div(panels, least);
    groups_ = ceil_div(panels, group_panels_);
    const i64 blocks = std::clamp<i64>(args.M / kMinBlockRows, 1, ceil_div(kMinTasks, groups_));
    block_rows_ = round_up(ceil_div(args.M, blocks), run_rows_);
    row_blocks_ = ceil_div(args.M, block_rows_);
    b_floats_ = round_up(policy.panel_floats(longest_) * group_panels_, kLine);
    run_floats_ = policy.packs_rows() ? round_up(policy.rows_floats(longest_), kLine) : 0;
  }

  i64 scratch() const { return kLine + runs() * run_floats_ + num_threads() * workspace_floats(); }

  void run(std::span<float> scratch) {
    INLAY_ASSERT(static_cast<i64>(scratch.size()) >= this->scratch());
    const auto address = reinterpret_cast<std::uintptr_t>(scratch.data()) / sizeof(float);
    packed_rows_ = scratch.data() + (kLine - static_cast<i64>(address % kLine)) % kLine;
    scratch_ = packed_rows_ + runs() * run_floats_;
    for_chunks(args_, [&](const Chunk& chunk) {
      for (int thread = 0; thread < num_threads(); ++thread) {
        workspace(thread).set_packed_group(-1);
      }
      if (policy_.packs_rows()) {
        parallel_for(runs(), [&](i64 r) { policy_.pack_rows(chunk, run(r)); });
      }
      parallel_for(groups_ * row_blocks_, [&](i64 task) {
        multiply(chunk, task / row_blocks_, task % row_blocks_ * block_rows_);
      });
    });
  }

 private:
  i64 min_groups() const {
    if constexpr (requires { policy_.min_groups(); }) {
      return policy_.min_groups();
    } else {
      return kMinGroups;
    }
  }

  // A group: half an L2 of 2 MB.
  static constexpr i64 kGroupFloats = i64{1} << 18;
  // With fewer tasks, some threads would wait for others at the end; with few rows, groups alone
  // must be enough of them.
  static constexpr i64 kMinTasks = 32;
  static constexpr i64 kMinGroups = 8;
  // With fewer rows a block, packing a group for each would show.
  static constexpr i64 kMinBlockRows = 256;
  // Everything starts on a cache line.
  static constexpr i64 kLine = 16;

  // A thread's part of the scratch.
  struct Workspace {
    float* header;
    float* b;

    i64 packed_group() const {
      i64 group = 0;
      std::memcpy(&group, header, sizeof group);
      return group;
    }
    void set_packed_group(i64 group) const { std::memcpy(header, &group, sizeof group); }
  };

  i64 workspace_floats() const { return kLine + b_floats_; }

  Workspace workspace(int thread) const {
    float* start = scratch_ + thread * workspace_floats();
    return {start, start + kLine};
  }

  i64 runs() const { return ceil_div(args_.M, run_rows_); }
  Rows run(i64 r) const {
    const i64 first = r * run_rows_;
    return {first, std::min(run_rows_, args_.M - first), packed_rows_ + r * run_floats_};
  }

  void multiply(const Chunk& chunk, i64 group, i64 first_row) const {
    const i64 n = group * group_panels_ * policy_.width();
    const Columns columns = {n, std::min(group_panels_ * policy_.width(), args_.N - n)};
    const Workspace mine = workspace(thread_index());
    if (mine.packed_group() != group) {
      policy_.pack_columns(chunk, columns, mine.b);
      mine.set_packed_group(group);
    }
    policy_.begin();
    const i64 end = std::min(args_.M, first_row + block_rows_);
    for (i64 r = first_row / run_rows_; r * run_rows_ < end; ++r) {
      const Rows rows = run(r);
      for (i64 i = 0; i < rows.count; i += policy_.height()) {
        policy_.multiply(chunk, columns, mine.b, rows, i);
      }
    }
    policy_.end();
  }

  const GemmArgs& args_;
  const Policy& policy_;
  const i64 run_rows_;
  i64 longest_ = 0;
  i64 group_panels_ = 0, groups_ = 0, block_rows_ = 0, row_blocks_ = 0;
  i64 b_floats_ = 0, run_floats_ = 0;
  float* packed_rows_ = nullptr;
  float* scratch_ = nullptr;
};

}  // namespace inlay::kernels
