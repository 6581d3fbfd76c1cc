// SPDX-License-Identifier: Apache-2.0
#include "core/ops/norm.h"

#include <utility>

#include "core/kernels/elementwise.h"
#include "core/kernels/norm.h"
#include "core/ops/support.h"

namespace inlay {

Tensor rms_norm(const Tensor& x, const Tensor& weight, float eps, Keep keep) {
  const i64 D = x.dim(-1);
  check_shape("rms_norm: weight", weight, {D});
  const Tensor in = contiguous(x);
  Tensor y = Tensor::empty_like(in);
  const Tensor rstd = Tensor::empty({D == 0 ? 0 : x.numel() / D});
  on(rstd).rms_norm(in.in(), weight.in(), eps, y.out(), rstd.out());
  const Saved sx = save(in, Keep::kExact);
  const Saved sw = save(weight, keep);
  // With n = x rstd, g = dy weight, and a sum over rows:
  //   dx = rstd (g - n mean(g n))
  //   dweight = sum dy n
  y = record("rms_norm", y, {in, weight}, [sx, sw, rstd, D](Tensor dy, Wants wants) {
    Grads grads(2);
    const Tensor input = sx.get();
    if (wants[1]) {
      grads[1] = Tensor::empty({D});
      on(grads[1]).rms_norm_backward_weight(input.in(), rstd.in(), dy.in(), grads[1].out());
    }
    if (wants[0]) {
      // Last: dx may be written over dy, which dweight reads.
      const auto [values, dx] = take(std::move(dy));
      on(dx).rms_norm_backward(input.in(), sw.get().in(), rstd.in(), values.in(), dx.out());
      grads[0] = dx;
    }
    return grads;
  });
  set_recipe(y, [sx, sw, rstd] {
    const Tensor input = sx.get();
    Tensor again = Tensor::empty_like(input);
    on(again).rms_norm_with_rstd(input.in(), sw.get().in(), rstd.in(), again.out());
    return again;
  });
  return y;
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias, float eps, Keep keep) {
  const i64 D = x.dim(-1);
  check_shape("layer_norm: weight", weight, {D});
  check_shape("layer_norm: bias", bias, {D});
  const Tensor in = contiguous(x);
  Tensor y = Tensor::empty_like(in);
  const i64 rows = D == 0 ? 0 : x.numel() / D;
  const Tensor mean = Tensor::empty({rows});
  const Tensor rstd = Tensor::empty({rows});
  on(rstd).layer_norm(in.in(), weight.in(), bias.in(), eps, y.out(), mean.out(), rstd.out());
  const Saved sx = save(in, Keep::kExact);
  const Saved sw = save(weight, keep);
  // With n = (x - mean) rstd, g = dy weight, and sums over rows:
  //   dx = rstd (g - mean(g) - n mean(g n))
  //   dweight = sum dy n
  //   dbias = sum dy
  y = record("layer_norm", y, {in, weight, bias}, [sx, sw, mean, rstd, D](Tensor dy, Wants wants) {
    Grads grads(3);
    const Tensor input = sx.get();
    if (wants[1]) {
      grads[1] = Tensor::empty({D});
      on(grads[1]).layer_norm_backward_weight(input.in(), mean.in(), rstd.in(), dy.in(),
                                              grads[1].out());
    }
    if (wants[2]) {
      grads[2] = Tensor::empty({D});
      on(grads[2]).column_sums(dy.in(), grads[2].out(), false);
    }
    if (wants[0]) {
      // Last: dx may be written over dy, which dweight and dbias read.
      const auto [values, dx] = take(std::move(dy));
      on(dx).layer_norm_backward(input.in(), sw.get().in(), mean.in(), rstd.in(), values.in(),
                                 dx.out());
      grads[0] = dx;
    }
    return grads;
  });
  set_recipe(y, [sx, sw, sb = save(bias, keep), mean, rstd] {
    const Tensor input = sx.get();
    Tensor again = Tensor::empty_like(input);
    on(again).layer_norm_with_statistics(input.in(), sw.get().in(), sb.get().in(), mean.in(),
                                         rstd.in(), again.out());
    return again;
  });
  return y;
}

}  // namespace inlay
