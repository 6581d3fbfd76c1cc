// SPDX-License-Identifier: Apache-2.0
#include "core/ops/softcap.h"

#include <utility>

#include "core/ops/support.h"

namespace inlay {

Tensor softcap(Tensor x, float cap) {
  Tensor y = reuse_or_allocate(x);
  on(y).softcap(contiguous(x).in(), cap, y.out());
  // y = cap t, t = tanh(x / cap):   dx = dy (1 - t^2)
  return record("softcap", y, {x},
                [cap, sy = save(y.detach(), Keep::kExact, x.requires_grad())](const Tensor& dy,
                                                                              Wants) -> Grads {
                  Tensor dx = Tensor::empty_like(dy);
                  on(dx).softcap_backward(sy.get().in(), dy.in(), cap, dx.out());
                  return {dx};
                });
}

}  // namespace inlay
