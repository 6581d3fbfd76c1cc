// SPDX-License-Identifier: Apache-2.0
#include "core/ops/clamp.h"

#include <utility>

#include "core/ops/support.h"

namespace inlay {

Tensor clamp(const Tensor& x, float bound, Keep keep) {
  const Tensor in = contiguous(x);
  Tensor y = Tensor::empty_like(in);
  on(y).clamp(in.in(), bound, y.out());
  return record("clamp", std::move(y), {in},
                [sx = save(in, keep, in.requires_grad()), bound](Tensor dy, Wants) -> Grads {
                  const auto [values, dx] = take(std::move(dy));
                  on(dx).clamp_backward(sx.get().in(), values.in(), bound, dx.out());
                  return {dx};
                });
}

}  // namespace inlay
