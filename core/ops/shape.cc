// SPDX-License-Identifier: Apache-2.0
#include "core/ops/shape.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/kernels/embedding.h"
#include "core/ops/support.h"
#include "core/planning.h"

namespace inlay {

Tensor dense(const Tensor& x) {
  if (x.is_contiguous()) {
    return x;
  }
  return record("contiguous", x.clone(), {x},
                [](const Tensor& dy, Wants) -> Grads { return {dy}; });
}

Tensor reshape(const Tensor& x, const Shape& shape) {
  const Tensor in = dense(x);
  return record("reshape", in.view(shape), {in},
                [from = in.shape()](const Tensor& dy, Wants) -> Grads { return {dy.view(from)}; });
}

Tensor gather_rows(const Tensor& x, std::span<const i32> rows) {
  if (x.rank() != 2) {
    throw ShapeError(str("gather_rows: expected two axes, found ", x.shape().to_string()));
  }
  INLAY_ASSERT(std::ranges::all_of(rows, [&](i32 r) { return r >= 0 && r < x.dim(0); }));
  const Tensor in = dense(x);
  const i64 C = x.dim(1);
  Tensor y = Tensor::empty({static_cast<i64>(rows.size()), C});
  kernels::gather_rows(in.values(), C, rows, y.mutable_values());
  return record("gather_rows", std::move(y), {in},
                [index = std::vector<i32>(rows.begin(), rows.end()), from = x.shape(), C](
                    const Tensor& dy, Wants) -> Grads {
                  Tensor dx = Tensor::zeros(from);
                  kernels::embedding_backward(index, dy.values(), C, dx.mutable_values());
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
                       Tensor dx = Tensor::zeros(from);
                       const i64 C = from[-1];
                       const i64 rows = C == 0 || planning() ? 0 : from.numel() / C;
                       for (std::size_t p = 0; p < dys.size(); ++p) {
                         if (!dys[p].defined()) {
                           continue;
                         }
                         const i64 width = dys[p].dim(-1);
                         for (i64 r = 0; r < rows; ++r) {
                           std::copy_n(dys[p].data<const float>() + r * width, width,
                                       dx.data<float>() + r * C + begins[p]);
                         }
                       }
                       return Grads{dx};
                     });
}

Tensor gather_columns(const Tensor& x, std::span<const i32> ids) {
  const i64 R = x.dim(0);
  const i64 V = x.dim(1);
  INLAY_ASSERT(std::ranges::all_of(ids, [&](i32 id) { return id >= 0 && id < V; }));
  const Tensor in = dense(x);
  Tensor y = Tensor::empty({static_cast<i64>(ids.size()), R});
  for (std::size_t t = 0; t < ids.size() && !planning(); ++t) {
    for (i64 r = 0; r < R; ++r) {
      y.data<float>()[static_cast<i64>(t) * R + r] = in.data<const float>()[r * V + ids[t]];
    }
  }
  return record(
      "gather_columns", std::move(y), {in},
      [index = std::vector<i32>(ids.begin(), ids.end()), R, V](const Tensor& dy, Wants) -> Grads {
        Tensor dx = Tensor::zeros({R, V});
        for (std::size_t t = 0; t < index.size() && !planning(); ++t) {
          for (i64 r = 0; r < R; ++r) {
            dx.data<float>()[r * V + index[t]] +=
                dy.data<const float>()[static_cast<i64>(t) * R + r];
          }
        }
        return {dx};
      });
}

}  // namespace inlay
