// SPDX-License-Identifier: Apache-2.0
#include "core/ops/rope.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/ops/support.h"

namespace inlay {
namespace {

i64 distance(const RopeTables& tables) {
  return tables.distance > 0 ? tables.distance : tables.cosines.dim(1);
}

void turn(const Tensor& x, i64 head_dim, const Indices& positions, const RopeTables& tables,
          bool inverse, const Tensor& y) {
  kernels::RopeArgs args = rope_args(head_dim, positions, tables);
  args.rows = x.dim(0);
  args.heads = x.dim(1) / head_dim;
  args.x_stride = x.stride(0);
  args.y_stride = y.stride(0);
  args.inverse = inverse;
  on(y).rope(args, x.data<const float>(), y.data<float>());
}

}  // namespace

kernels::RopeArgs rope_args(i64 head_dim, const Indices& positions, const RopeTables& tables) {
  INLAY_ASSERT(tables.cosines.dim(1) <= distance(tables));
  INLAY_ASSERT(distance(tables) + tables.cosines.dim(1) <= head_dim);
  INLAY_ASSERT(std::ranges::all_of(positions.host(),
                                   [&](i32 p) { return p >= 0 && p < tables.cosines.dim(0); }));
  kernels::RopeArgs args;
  args.head_dim = head_dim;
  args.pairs = tables.cosines.dim(1);
  args.order = tables.order;
  args.distance = distance(tables);
  args.positions = positions.device().data();
  args.cosines = tables.cosines.data<const float>();
  args.sines = tables.sines.data<const float>();
  return args;
}

Tensor rope(Tensor x, i64 head_dim, const Indices& positions, const RopeTables& tables) {
  if (x.rank() != 2 || x.dim(1) % head_dim != 0 || x.dim(0) != positions.size()) {
    throw ShapeError(str("rope: x ", x.shape().to_string(), " for ", positions.size(),
                         " positions and heads of ", head_dim));
  }
  INLAY_ASSERT(x.stride(1) == 1);
  Tensor y = reuse_or_allocate(x);
  turn(x, head_dim, positions, tables, false, y);
  return record("rope", std::move(y), {x},
                [head_dim, tables, where = positions](Tensor dy, Wants) -> Grads {
                  const auto [values, dx] = take(std::move(dy));
                  turn(values, head_dim, where, tables, true, dx);
                  return {dx};
                });
}

}  // namespace inlay
