// SPDX-License-Identifier: Apache-2.0
#include "core/ops/shape.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/ops/support.h"

namespace inlay {

Tensor contiguous(const Tensor& x) {
  if (x.is_contiguous()) {
    return x;
  }
  return record("contiguous", x.clone(), {x},
                [](const Tensor& dy, Wants) -> Grads { return {dy}; });
}

Tensor reshape(const Tensor& x, const Shape& shape) {
  const Tensor in = contiguous(x);
  return record("reshape", in.view(shape), {in},
                [from = in.shape()](const Tensor& dy, Wants) -> Grads { return {dy.view(from)}; });
}

Tensor gather_rows(const Tensor& x, const Indices& rows) {
  if (x.rank() != 2) {
    throw ShapeError(str("gather_rows: expected two axes, found ", x.shape().to_string()));
  }
  INLAY_ASSERT(std::ranges::all_of(rows.host(), [&](i32 r) { return r >= 0 && r < x.dim(0); }));
  const Tensor in = contiguous(x);
  const i64 C = x.dim(1);
  Tensor y = Tensor::empty({rows.size(), C});
  on(y).gather_rows(in.in(), C, rows.device(), y.out());
  return record("gather_rows", std::move(y), {in},
                [rows, from = x.shape(), C](const Tensor& dy, Wants) -> Grads {
                  Tensor dx = Tensor::zeros(from);
                  on(dx).embedding_backward(rows.device(), dy.in(), C, dx.out());
                  return {dx};
                });
}

std::vector<Tensor> split_columns(const Tensor& x, std::span<const i64> widths) {
  std::vector<Tensor> parts;
  std::vector<i64> begins;
  i64 begin = 0;
  for (const i64 width : widths) {
    parts.push_back(x.slice(-1, begin, begin + width));
    begins.push_back(begin);
    begin += width;
  }
  if (begin != x.dim(-1)) {
    throw ShapeError(str("split_columns: widths add up to ", begin, ", not ", x.dim(-1)));
  }
  return record_many("split_columns", std::move(parts), {x},
                     [begins, from = x.shape()](std::span<Tensor> dys, Wants) {
                       const Tensor dx = Tensor::zeros(from);
                       for (std::size_t p = 0; p < dys.size(); ++p) {
                         if (dys[p].defined()) {
                           const i64 end = begins[p] + dys[p].dim(-1);
                           dx.slice(-1, begins[p], end).copy_from(dys[p]);
                         }
                       }
                       return Grads{dx};
                     });
}

Tensor gather_columns(const Tensor& x, const Indices& ids) {
  const i64 R = x.dim(0);
  const i64 V = x.dim(1);
  INLAY_ASSERT(std::ranges::all_of(ids.host(), [&](i32 id) { return id >= 0 && id < V; }));
  const Tensor in = contiguous(x);
  Tensor y = Tensor::empty({ids.size(), R});
  on(y).gather_columns(in.in(), V, ids.device(), y.out());
  return record("gather_columns", std::move(y), {in},
                [ids, R, V](const Tensor& dy, Wants) -> Grads {
                  const Tensor dx = Tensor::zeros({R, V});
                  on(dx).gather_columns_backward(ids.device(), dy.in(), V, dx.out());
                  return {dx};
                });
}

}  // namespace inlay
