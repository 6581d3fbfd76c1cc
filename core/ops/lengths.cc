// SPDX-License-Identifier: Apache-2.0
#include "core/ops/lengths.h"

#include "core/autograd/graph.h"
#include "core/error.h"
#include "core/ops/linear.h"

namespace inlay {

void row_squares(const Tensor& rows, const Tensor& squares) {
  check_shape("row_squares: squares", squares, {rows.dim(0)});
  on(squares).row_squares(rows.in(), rows.dim(1), squares.span<double>());
}

Tensor inverse_row_norms(const Tensor& squares, const Tensor& across, const Tensor& a,
                         const Tensor& b, double scale) {
  const NoGrad guard;
  check_shape("inverse_row_norms: squares", squares, {b.dim(0)});
  check_shape("inverse_row_norms: across", across, {b.dim(1), b.dim(0)});
  const Tensor bent = matmul(b, linear(a, a));
  Tensor out = Tensor::empty({b.dim(0)});
  on(out).inverse_row_norms({squares.span<const double>(), across.in(), b.in(), bent.in(), scale},
                            out.out());
  return out;
}

Tensor reciprocal(const Tensor& x) {
  Tensor y = Tensor::empty(x.shape());
  on(y).reciprocal(x.in(), y.out());
  return y;
}

void add_column_squares(const Tensor& x, const Tensor& squares) {
  check_shape("add_column_squares: squares", squares, {x.dim(1)});
  on(squares).add_column_squares(x.in(), squares.span<double>());
}

Tensor over_lengths(const Tensor& x, const Tensor& squares) {
  check_shape("over_lengths: squares", squares, {x.numel()});
  Tensor y = Tensor::empty(x.shape());
  on(y).over_lengths(x.in(), squares.span<const double>(), y.out());
  return y;
}

Tensor scale_rows(const Tensor& x, const Tensor& factors) {
  check_shape("scale_rows: factors", factors, {x.dim(0)});
  Tensor y = Tensor::empty(x.shape());
  on(y).scale_rows(x.in(), factors.in(), y.out());
  return y;
}

}  // namespace inlay
