// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/rope.h"

#include "core/kernels/cpu/rows/rope.isa.h"
#include "core/parallel.h"

namespace inlay::kernels {

void rope(const RopeArgs& args, const float* x, float* y) {
  constexpr i64 kValuesATask = 1 << 14;
  const i64 width = args.heads * args.head_dim;
  // A rotation's transpose is the turn back, and with it its backward.
  const float sign = args.inverse ? -1.0F : 1.0F;
  parallel_rows(args.rows, kValuesATask / (width + 1) + 1, [&](i64 begin, i64 end) {
    for (i64 row = begin; row < end; ++row) {
      const float* cosines = args.cosines + args.positions[row] * args.half;
      const float* sines = args.sines + args.positions[row] * args.half;
      for (i64 h = 0; h < args.heads; ++h) {
        INLAY_SELECT(ropes).head(x + row * args.x_stride + h * args.head_dim, cosines, sines, sign,
                                 args.half, args.head_dim,
                                 y + row * args.y_stride + h * args.head_dim);
      }
    }
  });
}

}  // namespace inlay::kernels
