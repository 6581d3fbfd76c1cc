// SPDX-License-Identifier: Apache-2.0
#include "core/ops/shape.h"

#include <algorithm>
#include <numeric>
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

std::vector<Tensor> split_heads(const Tensor& x, i64 heads, std::span<const i64> widths) {
  const i64 N = x.dim(0);
  const i64 width = std::accumulate(widths.begin(), widths.end(), i64{0});
  if (x.dim(1) != heads * width) {
    throw ShapeError(
        str("split_heads: ", heads, " heads of ", width, " columns from ", x.shape().to_string()));
  }
  const Tensor in = contiguous(x);
  const Tensor by_head = in.view({N, heads, width});
  std::vector<Tensor> parts;
  i64 begin = 0;
  for (const i64 w : widths) {
    parts.push_back(by_head.slice(2, begin, begin + w).clone().view({N, heads * w}));
    begin += w;
  }
  return record_many("split_heads", std::move(parts), {in},
                     [N, heads, width, widths = std::vector(widths.begin(), widths.end())](
                         std::span<Tensor> dys, Wants) {
                       const Tensor dx = Tensor::zeros({N, heads, width});
                       i64 at = 0;
                       for (std::size_t p = 0; p < dys.size(); ++p) {
                         if (dys[p].defined()) {
                           dx.slice(2, at, at + widths[p])
                               .copy_from(dys[p].contiguous().view({N, heads, widths[p]}));
                         }
                         at += widths[p];
                       }
                       return Grads{dx.view({N, heads * width})};
                     });
}

Tensor concatenate(std::span<const Tensor> vectors) {
  constexpr std::size_t kInputs = 64;  // of a recorded operation
  if (vectors.size() > kInputs) {
    std::vector<Tensor> pieces;
    for (std::size_t i = 0; i < vectors.size(); i += kInputs) {
      pieces.push_back(concatenate(vectors.subspan(i, std::min(kInputs, vectors.size() - i))));
    }
    return concatenate(pieces);
  }
  i64 size = 0;
  for (const Tensor& vector : vectors) {
    size += vector.dim(0);
  }
  Tensor y = Tensor::empty({size});
  std::vector<i64> begins;
  i64 begin = 0;
  for (const Tensor& vector : vectors) {
    begins.push_back(begin);
    begin += vector.dim(0);
    y.slice(0, begins.back(), begin).copy_from(vector);
  }
  begins.push_back(size);
  return record_many("concatenate", {y}, {vectors.begin(), vectors.end()},
                     [begins](std::span<Tensor> dys, Wants wants) {
                       Grads grads(begins.size() - 1);
                       for (std::size_t i = 0; i < grads.size(); ++i) {
                         if (wants[static_cast<int>(i)]) {
                           grads[i] = dys[0].slice(0, begins[i], begins[i + 1]);
                         }
                       }
                       return grads;
                     })[0];
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
