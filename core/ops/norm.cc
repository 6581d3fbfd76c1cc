// SPDX-License-Identifier: Apache-2.0
#include "core/ops/norm.h"

#include "core/kernels/elementwise.h"
#include "core/kernels/norm.h"
#include "core/ops/support.h"

namespace inlay {

Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps) {
  const i64 D = x.dim(-1);
  check_shape("rms_norm: weight", weight, {D});
  const Tensor in = dense(x);
  Tensor y = Tensor::empty_like(in);
  const Tensor rstd = Tensor::empty({D == 0 ? 0 : x.numel() / D});
  kernels::rms_norm(in.values(), weight.values(), eps, y.mutable_values(), rstd.mutable_values());
  const Saved sx = save_exact(in);
  const Saved sw = save(weight);
  // n = x rstd, g = dy weight:  dx = rstd (g - n mean(g n)),  dweight = sum over rows of dy n
  y = record("rms_norm", y, {in, weight}, [sx, sw, rstd, D](const Tensor& dy, Wants wants) {
    Grads grads(2);
    const Tensor input = sx.get();
    if (wants[1]) {
      grads[1] = Tensor::empty({D});
      kernels::rms_norm_backward_weight(input.values(), rstd.values(), dy.values(),
                                        grads[1].mutable_values());
    }
    if (wants[0]) {
      grads[0] = result_over(dy);
      kernels::rms_norm_backward(input.values(), sw.get().values(), rstd.values(), dy.values(),
                                 grads[0].mutable_values());
    }
    return grads;
  });
  set_recipe(y, [sx, sw, rstd] {
    const Tensor input = sx.get();
    Tensor again = Tensor::empty_like(input);
    kernels::rms_norm_again(input.values(), sw.get().values(), rstd.values(),
                            again.mutable_values());
    return again;
  });
  return y;
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps) {
  const i64 D = x.dim(-1);
  check_shape("layer_norm: weight", weight, {D});
  check_shape("layer_norm: bias", bias, {D});
  const Tensor in = dense(x);
  Tensor y = Tensor::empty_like(in);
  const i64 rows = D == 0 ? 0 : x.numel() / D;
  const Tensor mean = Tensor::empty({rows});
  const Tensor rstd = Tensor::empty({rows});
  kernels::layer_norm(in.values(), weight.values(), bias.values(), eps, y.mutable_values(),
                      mean.mutable_values(), rstd.mutable_values());
  const Saved sx = save_exact(in);
  const Saved sw = save(weight);
  // n = (x - mean) rstd, g = dy weight:  dx = rstd (g - mean(g) - n mean(g n)),  dweight = sum dy
  // n,  dbias = sum dy
  y = record(
      "layer_norm", y, {in, weight, bias}, [sx, sw, mean, rstd, D](const Tensor& dy, Wants wants) {
        Grads grads(3);
        const Tensor input = sx.get();
        if (wants[1]) {
          grads[1] = Tensor::empty({D});
          kernels::layer_norm_backward_weight(input.values(), mean.values(), rstd.values(),
                                              dy.values(), grads[1].mutable_values());
        }
        if (wants[2]) {
          grads[2] = Tensor::empty({D});
          kernels::column_sums(dy.values(), grads[2].mutable_values(), false);
        }
        if (wants[0]) {
          grads[0] = result_over(dy);
          kernels::layer_norm_backward(input.values(), sw.get().values(), mean.values(),
                                       rstd.values(), dy.values(), grads[0].mutable_values());
        }
        return grads;
      });
  set_recipe(y, [sx, sw, sb = save(bias), mean, rstd] {
    const Tensor input = sx.get();
    Tensor again = Tensor::empty_like(input);
    kernels::layer_norm_again(input.values(), sw.get().values(), sb.get().values(), mean.values(),
                              rstd.values(), again.mutable_values());
    return again;
  });
  return y;
}

}  // namespace inlay
