// SPDX-License-Identifier: Apache-2.0
#include "core/ops/linear.h"

#include <utility>

#include "core/error.h"
#include "core/kernels/elementwise.h"
#include "core/kernels/gemm.h"
#include "core/ops/support.h"

namespace inlay {
namespace {

using kernels::GemmArgs;
using kernels::MatrixRef;

// Fills in scratch memory and runs the product.
void run(const GemmArgs& args) {
  const MemoryScope scope(MemoryClass::kScratch);
  const Tensor scratch = Tensor::empty({kernels::gemm_scratch(args)});
  kernels::gemm(args, scratch.mutable_values());
}

i64 rows_of(const Tensor& x) {
  return x.dim(-1) == 0 ? 0 : x.numel() / x.dim(-1);
}

struct ProductOptions {
  bool transposed = false;  // multiply by the matrix's transpose
  float alpha = 1.0F;
  const float* bias = nullptr;
  bool accumulate = false;
};

// y (+)= alpha * x M, or x M^T; x and y are [rows, *], contiguous.
void multiply(const Tensor& x, const MatrixRef& m, const Tensor& y, const ProductOptions& options) {
  GemmArgs args;
  args.M = rows_of(y);
  args.K = x.dim(-1);
  args.N = y.dim(-1);
  args.a = x.data<const float>();
  args.a_row_stride = args.K;
  args.b = m;
  args.b_transposed = options.transposed;
  args.c = y.data<float>();
  args.c_row_stride = args.N;
  args.alpha = options.alpha;
  args.bias = options.bias;
  if (options.accumulate) {
    args.addend = args.c;
    args.addend_row_stride = args.N;
  }
  run(args);
}

// left^T right over the rows of both: [left's width, right's width].
Tensor sum_of_outer_products(const Tensor& left, const Tensor& right, float alpha = 1.0F) {
  const i64 rows = rows_of(left);
  Tensor out = Tensor::empty({left.dim(-1), right.dim(-1)});
  GemmArgs args;
  args.M = left.dim(-1);
  args.K = rows;
  args.N = right.dim(-1);
  args.a = left.data<const float>();
  args.a_row_stride = 1;
  args.a_col_stride = left.dim(-1);
  args.b = matrix_ref(right.view({rows, right.dim(-1)}));
  args.c = out.data<float>();
  args.c_row_stride = args.N;
  args.alpha = alpha;
  run(args);
  return out;
}

Tensor column_sums(const Tensor& dy) {
  Tensor out = Tensor::empty({dy.dim(-1)});
  kernels::column_sums(dy.values(), out.mutable_values(), false);
  return out;
}

void check_linear(const Tensor& x, i64 in, i64 out, const Tensor& bias) {
  if (x.rank() < 1 || x.dim(-1) != in) {
    throw ShapeError(str("linear: inner sizes differ: x ", x.shape().to_string(),
                         " with a weight [", out, ", ", in, "]"));
  }
  if (bias.defined()) {
    check_shape("linear: bias", bias, {out});
  }
}

}  // namespace

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, WeightLayout layout) {
  const bool out_in = layout == WeightLayout::kOutIn;
  const i64 out = weight.dim(out_in ? 0 : 1);
  check_linear(x, weight.dim(out_in ? 1 : 0), out, bias);
  const Tensor input = dense(x);
  Tensor y = Tensor::empty(x.shape().with(-1, out));
  const float* bias_values = bias.defined() ? bias.data<const float>() : nullptr;
  multiply(input, matrix_ref(weight), y, {.transposed = out_in, .bias = bias_values});
  return record("linear", std::move(y), {input, weight, bias},
                [sx = save(input, weight.requires_grad()), sw = save(weight, input.requires_grad()),
                 out_in, in_shape = x.shape()](const Tensor& dy, Wants wants) {
                  Grads grads(3);
                  if (wants[0]) {
                    grads[0] = Tensor::empty(in_shape);
                    multiply(dy, matrix_ref(sw.get()), grads[0], {.transposed = !out_in});
                  }
                  if (wants[1]) {
                    const Tensor in = sx.get();
                    grads[1] =
                        out_in ? sum_of_outer_products(dy, in) : sum_of_outer_products(in, dy);
                  }
                  if (wants[2]) {
                    grads[2] = column_sums(dy);
                  }
                  return grads;
                });
}

Tensor linear(const Tensor& x, const FrozenMatrix& weight, const Tensor& bias) {
  check_linear(x, weight.cols(), weight.rows(), bias);
  const Tensor input = dense(x);
  Tensor y = Tensor::empty(x.shape().with(-1, weight.rows()));
  const float* bias_values = bias.defined() ? bias.data<const float>() : nullptr;
  multiply(input, weight.ref(), y, {.transposed = true, .bias = bias_values});
  return record("linear", std::move(y), {input, bias},
                [weight, in_shape = x.shape()](const Tensor& dy, Wants wants) {
                  Grads grads(2);
                  if (wants[0]) {
                    grads[0] = Tensor::empty(in_shape);
                    multiply(dy, weight.ref(), grads[0], {});
                  }
                  if (wants[1]) {
                    grads[1] = column_sums(dy);
                  }
                  return grads;
                });
}

Tensor matmul(const Tensor& a, const Tensor& b) {
  if (a.rank() != 2 || b.rank() != 2 || a.dim(1) != b.dim(0)) {
    throw ShapeError(str("matmul: inner sizes differ: a ", a.shape().to_string(), " @ b ",
                         b.shape().to_string()));
  }
  return linear(a, dense(b), {}, WeightLayout::kInOut);
}

Tensor add_low_rank(Tensor y, const Tensor& x, const Tensor& a, const Tensor& b, float factor) {
  const i64 rank = a.dim(0);
  check_shape("add_low_rank: A", a, {rank, x.dim(-1)});
  check_shape("add_low_rank: B", b, {y.dim(-1), rank});
  const Tensor input = dense(x);
  Tensor inner = Tensor::empty(x.shape().with(-1, rank));
  multiply(input, matrix_ref(a), inner, {.transposed = true});
  Tensor sum = result_over(y);
  if (!sum.same_storage(y)) {
    sum.copy_from(dense(y));
  }
  multiply(inner, matrix_ref(b), sum, {.transposed = true, .alpha = factor, .accumulate = true});
  return record("add_low_rank", std::move(sum), {y, input, a, b},
                [sx = save(input, a.requires_grad()), st = save(inner, b.requires_grad()),
                 sa = save(a, input.requires_grad()), sb = save(b), factor,
                 in_shape = x.shape()](const Tensor& dy, Wants wants) {
                  Grads grads(4);
                  grads[0] = dy;
                  const Tensor B = sb.get();
                  if (wants[1] || wants[2]) {
                    Tensor t = Tensor::empty(dy.shape().with(-1, B.dim(1)));
                    multiply(dy, matrix_ref(B), t, {.alpha = factor});
                    if (wants[1]) {
                      grads[1] = Tensor::empty(in_shape);
                      multiply(t, matrix_ref(sa.get()), grads[1], {});
                    }
                    if (wants[2]) {
                      grads[2] = sum_of_outer_products(t, sx.get());
                    }
                  }
                  if (wants[3]) {
                    grads[3] = sum_of_outer_products(dy, st.get(), factor);
                  }
                  return grads;
                });
}

}  // namespace inlay
