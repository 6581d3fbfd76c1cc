// SPDX-License-Identifier: Apache-2.0
#include "core/ops/norm.h"

#include <utility>

#include "core/kernels/elementwise.h"
#include "core/kernels/norm.h"
#include "core/ops/support.h"

namespace inlay {
namespace {

using kernels::NormFactors;

NormFactors factors_of(const Tensor& weight, i64 D, float offset) {
  NormFactors factors;
  factors.D = D;
  if (weight.defined()) {
    factors.weight = weight.in();
    factors.offset = offset;
  }
  return factors;
}

// What an RMS norm holds for backward.
struct RmsSaves {
  Saved x, weight;
  Tensor rstd;
  i64 D = 0;
  float offset = 0.0F;

  NormFactors factors(const Tensor& held) const { return factors_of(held, D, offset); }
};

// With n = x rstd, g = dy (offset + weight), and a sum over rows:
//   dx = rstd (g - n mean(g n))
//   dweight = sum dy n
// The residual's gradient is dy itself.
Grads rms_gradients(const RmsSaves& saved, Tensor dy, Wants wants) {
  Grads grads(3);
  const Tensor input = saved.x.get();
  if (wants[2]) {
    grads[2] = dy;
  }
  if (wants[1]) {
    grads[1] = Tensor::empty({saved.D});
    on(grads[1]).rms_norm_backward_weight(input.in(), saved.rstd.in(), dy.in(), grads[1].out());
  }
  if (wants[0]) {
    const Tensor weight = saved.weight.get();
    // Last: dx may be written over dy, which dweight reads.
    const auto [values, dx] = take(std::move(dy));
    on(dx).rms_norm_backward(input.in(), saved.factors(weight), saved.rstd.in(), values.in(),
                             dx.out());
    grads[0] = dx;
  }
  return grads;
}

Tensor rms_norm_of(const Tensor& x, const Tensor& weight, const Tensor& residual,
                   const NormOptions& options) {
  const i64 D = x.dim(-1);
  if (weight.defined()) {
    check_shape("rms_norm: weight", weight, {D});
  }
  const Tensor in = contiguous(x);
  const Tensor addend = residual.defined() ? contiguous(residual) : Tensor();
  Tensor y = Tensor::empty_like(in);
  const Tensor rstd = Tensor::empty({D == 0 ? 0 : x.numel() / D});
  on(rstd).rms_norm(in.in(), factors_of(weight, D, options.offset), options.eps,
                    addend.defined() ? addend.in() : std::span<const float>(), y.out(), rstd.out());
  const RmsSaves saved = {save(in, addend.defined() ? options.keep : Keep::kExact),
                          save(weight, options.keep), rstd, D, options.offset};
  y = record("rms_norm", y, {in, weight, addend}, [saved](Tensor dy, Wants wants) {
    return rms_gradients(saved, std::move(dy), wants);
  });
  if (!addend.defined()) {
    set_recipe(y, [saved] {
      const Tensor input = saved.x.get();
      const Tensor held = saved.weight.get();
      Tensor again = Tensor::empty_like(input);
      on(again).rms_norm_with_rstd(input.in(), saved.factors(held), saved.rstd.in(), again.out());
      return again;
    });
  }
  return y;
}

}  // namespace

Tensor rms_norm(const Tensor& x, const Tensor& weight, const NormOptions& options) {
  return rms_norm_of(x, weight, {}, options);
}

Tensor rms_norm_onto(const Tensor& residual, const Tensor& x, const Tensor& weight,
                     const NormOptions& options) {
  check_shape("rms_norm: residual", residual, x.shape());
  return rms_norm_of(x, weight, residual, options);
}

Tensor layer_norm(const Tensor& x, const Tensor& weight, const Tensor& bias,
                  const NormOptions& options) {
  const i64 D = x.dim(-1);
  check_shape("layer_norm: weight", weight, {D});
  if (bias.defined()) {
    check_shape("layer_norm: bias", bias, {D});
  }
  const Tensor in = contiguous(x);
  Tensor y = Tensor::empty_like(in);
  const i64 rows = D == 0 ? 0 : x.numel() / D;
  const Tensor mean = Tensor::empty({rows});
  const Tensor rstd = Tensor::empty({rows});
  const auto values_of = [](const Tensor& t) {
    return t.defined() ? t.in() : std::span<const float>();
  };
  const float offset = options.offset;
  on(rstd).layer_norm(in.in(), factors_of(weight, D, offset), values_of(bias), options.eps, y.out(),
                      mean.out(), rstd.out());
  const Saved sx = save(in, Keep::kExact);
  const Saved sw = save(weight, options.keep);
  // With n = (x - mean) rstd, g = dy (offset + weight), and sums over rows:
  //   dx = rstd (g - mean(g) - n mean(g n))
  //   dweight = sum dy n
  //   dbias = sum dy
  y = record("layer_norm", y, {in, weight, bias},
             [sx, sw, mean, rstd, D, offset](Tensor dy, Wants wants) {
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
                 const Tensor held = sw.get();
                 // Last: dx may be written over dy, which dweight and dbias read.
                 const auto [values, dx] = take(std::move(dy));
                 on(dx).layer_norm_backward(input.in(), factors_of(held, D, offset), mean.in(),
                                            rstd.in(), values.in(), dx.out());
                 grads[0] = dx;
               }
               return grads;
             });
  set_recipe(y, [sx, sw, sb = save(bias, options.keep), mean, rstd, D, offset, values_of] {
    const Tensor input = sx.get();
    const Tensor held = sw.get();
    const Tensor shift = sb.get();
    Tensor again = Tensor::empty_like(input);
    on(again).layer_norm_with_statistics(input.in(), factors_of(held, D, offset), values_of(shift),
                                         mean.in(), rstd.in(), again.out());
    return again;
  });
  return y;
}

}  // namespace inlay
