// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/dropped_input.h"

#include <algorithm>

#include "core/error.h"
#include "core/kernels/cpu/rows/dropped_input.isa.h"
#include "core/parallel.h"

namespace inlay::kernels {
namespace {

// A task's values: drawing for them takes some 40 microseconds.
constexpr i64 kDroppedATask = 1 << 16;
// Backward, each slice of the rows has sums of its own, added when all are there: at most this many
// slices, and at most 4 MB of sums.
constexpr i64 kMaxSlices = 32;
constexpr i64 kMinSliceRows = 64;
constexpr i64 kSumFloats = i64{1} << 20;
constexpr i64 kSumGrain = 1 << 13;

i64 ceil_over(i64 a, i64 b) {
  return (a + b - 1) / b;
}

// Rows of a slice: a multiple of four but for the last.
i64 slice_rows(const DroppedInput& input, i64 ranks) {
  const i64 room = std::max<i64>(1, kSumFloats / std::max<i64>(1, ranks * input.columns));
  const i64 slices = std::min({kMaxSlices, room, ceil_over(input.rows, kMinSliceRows)});
  return std::max<i64>(4, ceil_over(ceil_over(input.rows, std::max<i64>(1, slices)), 4) * 4);
}

}  // namespace

void draw_kept(i64 values, std::span<const KeptDraw> draws) {
  const i64 blocks = ceil_over(values, kDroppedATask);
  parallel_for(blocks * std::ssize(draws), [&](i64 task) {
    const KeptDraw& draw = draws[task / blocks];
    const i64 begin = task % blocks * kDroppedATask;
    INLAY_SELECT(dropped_input)
        .draw(begin, std::min(values, begin + kDroppedATask), draw.dropout, draw.key, draw.kept);
  });
}

void dropped_products(const DroppedInput& input, std::span<const DroppedFactor> factors, float* t,
                      i64 t_columns) {
  const i64 grain = kDroppedATask / (input.columns + 1) + 1;
  const i64 blocks = ceil_over(input.rows, grain);
  const i64 count = static_cast<i64>(factors.size());
  parallel_for(blocks * count, [&](i64 task) {
    const i64 row = task / count * grain;
    INLAY_SELECT(dropped_input)
        .products(input, factors[task % count], row, std::min(grain, input.rows - row), t,
                  t_columns);
  });
}

i64 dropped_outer_products_scratch(const DroppedInput& input, i64 u_columns) {
  return ceil_over(input.rows, slice_rows(input, u_columns)) * u_columns * input.columns;
}

void dropped_outer_products(const DroppedInput& input, std::span<const DroppedFactor> factors,
                            const float* u, i64 u_columns, float* dA, std::span<float> scratch) {
  INLAY_ASSERT(std::ssize(scratch) >= dropped_outer_products_scratch(input, u_columns));
  // Slices of the rows are summed by tasks of their own and added in order at the end: the slices
  // follow from the shape, so the bits do not depend on the threads.
  const i64 each = slice_rows(input, u_columns);
  const i64 slices = ceil_over(input.rows, each);
  const i64 chunks = ceil_over(input.columns, kDroppedColumns);
  const i64 sums = u_columns * input.columns;
  parallel_for(slices * chunks, [&](i64 task) {
    const i64 slice = task / chunks;
    DroppedBlock block;
    block.row = slice * each;
    block.rows = std::min(each, input.rows - block.row);
    block.column = task % chunks * kDroppedColumns;
    block.columns = std::min(kDroppedColumns, input.columns - block.column);
    // One factor after the other over a block that stays near.
    for (const DroppedFactor& factor : factors) {
      float* to = scratch.data() + slice * sums + factor.first * input.columns;
      INLAY_SELECT(dropped_input).outer_products(input, factor, block, u, u_columns, to);
    }
  });
  for (const DroppedFactor& factor : factors) {
    const i64 begin = factor.first * input.columns;
    parallel_rows(factor.rank * input.columns, kSumGrain, [&](i64 from, i64 to) {
      for (i64 i = begin + from; i < begin + to; ++i) {
        float sum = scratch[i];
        for (i64 slice = 1; slice < slices; ++slice) {
          sum += scratch[slice * sums + i];
        }
        dA[i] = sum;
      }
    });
  }
}

}  // namespace inlay::kernels
