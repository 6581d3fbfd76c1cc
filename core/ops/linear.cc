// SPDX-License-Identifier: Apache-2.0
#include "core/ops/linear.h"

#include <utility>

#include "core/error.h"
#include "core/ops/product.h"
#include "core/ops/support.h"

namespace inlay {
namespace {

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

Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias, WeightLayout layout,
              GemmCompute compute, Keep keep) {
  const bool out_in = layout == WeightLayout::kOutIn;
  compute = weight.requires_grad() ? unquantised(compute) : compute;
  const i64 out = weight.dim(out_in ? 0 : 1);
  check_linear(x, weight.dim(out_in ? 1 : 0), out, bias);
  const Tensor input = contiguous(x);
  Tensor y = Tensor::empty(x.shape().with(-1, out));
  const float* bias_values = bias.defined() ? bias.data<const float>() : nullptr;
  multiply(input, matrix_ref(weight), y,
           {.transposed = out_in, .bias = bias_values, .compute = compute});
  return record("linear", std::move(y), {input, weight, bias},
                [sx = save(input, keep, weight.requires_grad()),
                 sw = save(weight, keep, input.requires_grad()), leaf = trainable_leaf(weight),
                 out_in, compute, in_shape = x.shape()](const Tensor& dy, Wants wants) {
                  Grads grads(3);
                  if (wants[0]) {
                    grads[0] = Tensor::empty(in_shape);
                    multiply(dy, matrix_ref(sw.get()), grads[0],
                             {.transposed = !out_in, .compute = compute});
                  }
                  if (wants[1]) {
                    const Tensor in = sx.get();
                    const Tensor& left = out_in ? dy : in;
                    const Tensor& right = out_in ? in : dy;
                    if (const Tensor so_far = gradient_so_far(leaf); so_far.defined()) {
                      add_outer_products(left, right, compute, so_far);
                    } else {
                      grads[1] = sum_of_outer_products(left, right, 1.0F, compute);
                    }
                  }
                  if (wants[2]) {
                    grads[2] = column_sums(dy);
                  }
                  return grads;
                });
}

Tensor linear(const Tensor& x, const FrozenMatrix& weight, const Tensor& bias,
              GemmCompute compute) {
  check_linear(x, weight.cols(), weight.rows(), bias);
  const Tensor input = contiguous(x);
  Tensor y = Tensor::empty(x.shape().with(-1, weight.rows()));
  const float* bias_values = bias.defined() ? bias.data<const float>() : nullptr;
  multiply(input, weight.ref(), y, {.transposed = true, .bias = bias_values, .compute = compute});
  return record("linear", std::move(y), {input, bias},
                [weight, compute, in_shape = x.shape()](const Tensor& dy, Wants wants) {
                  Grads grads(2);
                  if (wants[0]) {
                    grads[0] = Tensor::empty(in_shape);
                    multiply(dy, weight.ref(), grads[0], {.compute = compute});
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
  return linear(a, contiguous(b), {}, WeightLayout::kInOut);
}

}  // namespace inlay
