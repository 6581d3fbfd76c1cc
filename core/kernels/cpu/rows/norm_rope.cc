// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/norm_rope.h"

#include <cmath>

#include "core/kernels/cpu/rows/norm.isa.h"
#include "core/kernels/cpu/rows/rope_row.h"
#include "core/parallel.h"

// A row of queries or keys is a few thousand values: norm and RoPE each go over the whole row, and
// the second finds it in the nearest cache.
namespace inlay::kernels {
namespace {

constexpr i64 kRowValuesATask =
    1 << 14;                       // 64 KB: microseconds, many times what taking a task costs
constexpr i64 kGroupColumns = 64;  // whose sums weight_block keeps at once

void for_rows(const NormRopeArgs& args, FunctionRef<void(i64 row)> body) {
  parallel_rows(args.rope.rows, kRowValuesATask / (args.width() + 1) + 1, [&](i64 begin, i64 end) {
    for (i64 row = begin; row < end; ++row) {
      body(row);
    }
  });
}

bool turns(const NormRopeArgs& args) {
  return args.rope.positions != nullptr;
}

NormRow factors_of(const NormRopeArgs& args, const float* weight, i64 g) {
  return {args.own_weights ? weight + g * args.group : weight, 0.0F, nullptr};
}

float mean_of(const NormRopeArgs& args, const NormStatistics& found, i64 row, i64 g) {
  return args.centred ? found.mean[g * args.rope.rows + row] : 0.0F;
}

void find_statistics(const NormRopeArgs& args, const float* x, i64 row,
                     const NormStatistics& found) {
  const double count = static_cast<double>(args.group);
  for (i64 g = 0; g < args.groups(); ++g) {
    const float* values = x + g * args.group;
    float mean = 0.0F;
    if (args.centred) {
      mean = static_cast<float>(INLAY_SELECT(norms).sum(values, args.group) / count);
      found.mean[g * args.rope.rows + row] = mean;
    }
    const double variance =
        INLAY_SELECT(norms).sum_of_squared_distances(values, mean, args.group) / count;
    found.rstd[g * args.rope.rows + row] =
        static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(args.eps)));
  }
}

void apply_norm(const NormRopeArgs& args, const float* x, const float* weight, i64 row,
                const NormStatistics& found, float* y) {
  for (i64 g = 0; g < args.groups(); ++g) {
    INLAY_SELECT(norms).apply(x + g * args.group, factors_of(args, weight, g),
                              mean_of(args, found, row, g), found.rstd[g * args.rope.rows + row],
                              nullptr, y + g * args.group, args.group);
  }
}

}  // namespace

void norm_rope(const NormRopeArgs& args, const float* x, const float* weight, float* turned,
               const NormStatistics& found, float* y) {
  const i64 W = args.width();
  for_rows(args, [&](i64 row) {
    const float* in = x + row * args.rope.x_stride;
    float* out = y + row * W;
    if (args.turns_first && turns(args)) {
      float* between = turned + row * W;
      rope_row(args.rope, row, in, between);
      in = between;
    }
    find_statistics(args, in, row, found);
    apply_norm(args, in, weight, row, found, out);
    if (!args.turns_first && turns(args)) {
      rope_row(args.rope, row, out, out);
    }
  });
}

void norm_rope_again(const NormRopeArgs& args, const float* read, const float* weight,
                     const NormStatistics& found, float* y) {
  const i64 W = args.width();
  for_rows(args, [&](i64 row) {
    float* out = y + row * W;
    apply_norm(args, read + row * args.rope.x_stride, weight, row, found, out);
    if (!args.turns_first && turns(args)) {
      rope_row(args.rope, row, out, out);
    }
  });
}

void norm_rope_backward(const NormRopeArgs& args, const float* read, const float* weight,
                        const NormStatistics& found, const float* dy, float* dx) {
  const i64 W = args.width();
  RopeArgs back = args.rope;
  back.inverse = !back.inverse;
  for_rows(args, [&](i64 row) {
    const float* from = dy + row * W;
    float* to = dx + row * W;
    if (!args.turns_first && turns(args)) {
      rope_row(back, row, from, to);
      from = to;
    }
    for (i64 g = 0; g < args.groups(); ++g) {
      const i64 at = g * args.group;
      INLAY_SELECT(norms).backward(read + row * args.rope.x_stride + at,
                                   factors_of(args, weight, g), mean_of(args, found, row, g),
                                   found.rstd[g * args.rope.rows + row], from + at, args.centred,
                                   to + at, args.group);
    }
    if (args.turns_first && turns(args)) {
      rope_row(back, row, to, to);
    }
  });
}

void norm_rope_backward_weight(const NormRopeArgs& args, const float* read,
                               const NormStatistics& found, const float* dy,
                               std::span<float> dweight) {
  // weight_block takes one distance between the rows of both.
  const i64 rows = args.rope.rows;
  const i64 W = args.width();
  const i64 blocks = (args.group + kGroupColumns - 1) / kGroupColumns;
  // By columns, not by rows: each sum then runs over all rows in order, whatever the threads.
  parallel_for(args.groups() * blocks, [&](i64 task) {
    const i64 g = task / blocks;
    const i64 begin = task % blocks * kGroupColumns;
    const i64 count = begin + kGroupColumns < args.group ? kGroupColumns : args.group - begin;
    const i64 at = g * args.group + begin;
    double sums[kGroupColumns];
    INLAY_SELECT(norms).weight_block(read + at, args.centred ? found.mean + g * rows : nullptr,
                                     found.rstd + g * rows, dy + at, W, rows, count, sums);
    for (i64 c = 0; c < count; ++c) {
      dweight[at + c] = static_cast<float>(sums[c]);
    }
  });
}

}  // namespace inlay::kernels
