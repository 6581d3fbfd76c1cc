// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/rope.h"

#include <algorithm>

#include "core/kernels/cpu/rows/rope.isa.h"
#include "core/kernels/cpu/rows/rope_row.h"
#include "core/parallel.h"

namespace inlay::kernels {
namespace {

// The values of a head that are in no pair, [begin, end) in one or two stretches.
void copy_unturned(const RopeArgs& args, const float* x, float* y) {
  if (args.order == RopePairs::kInterleaved) {
    std::copy(x + 2 * args.pairs, x + args.head_dim, y + 2 * args.pairs);
    return;
  }
  std::copy(x + args.pairs, x + args.distance, y + args.pairs);
  const i64 last = args.distance + args.pairs;
  std::copy(x + last, x + args.head_dim, y + last);
}

}  // namespace

void rope_row(const RopeArgs& args, i64 row, const float* x, float* y) {
  // A rotation's transpose is the turn back, and with it its backward.
  const float sign = args.inverse ? -1.0F : 1.0F;
  const RopeTable& table = INLAY_SELECT(ropes);
  const float* cosines = args.cosines + args.positions[row] * args.pairs;
  const float* sines = args.sines + args.positions[row] * args.pairs;
  for (i64 h = 0; h < args.heads; ++h) {
    const float* from = x + h * args.head_dim;
    float* to = y + h * args.head_dim;
    if (args.order == RopePairs::kInterleaved) {
      table.interleaved(from, cosines, sines, sign, args.pairs, to);
    } else {
      table.halves(from, cosines, sines, sign, args.pairs, args.distance, to);
    }
    if (from != to) {
      copy_unturned(args, from, to);
    }
  }
}

void rope(const RopeArgs& args, const float* x, float* y) {
  constexpr i64 kValuesATask = 1 << 14;
  const i64 width = args.heads * args.head_dim;
  parallel_rows(args.rows, kValuesATask / (width + 1) + 1, [&](i64 begin, i64 end) {
    for (i64 row = begin; row < end; ++row) {
      rope_row(args, row, x + row * args.x_stride, y + row * args.y_stride);
    }
  });
}

}  // namespace inlay::kernels
