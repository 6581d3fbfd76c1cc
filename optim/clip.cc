// SPDX-License-Identifier: Apache-2.0
#include "optim/clip.h"

#include <algorithm>
#include <cmath>

#include "core/kernels/elementwise.h"

namespace inlay {

double global_grad_norm(std::span<const Parameter> parameters) {
  double sum = 0.0;
  for (const Parameter& p : parameters) {
    const Tensor grad = p.value.grad();
    if (grad.defined()) {
      sum += kernels::sum_of_squares(grad.values());
    }
  }
  return std::sqrt(sum);
}

double clip_scale(double norm, double max_norm) {
  return max_norm > 0.0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace inlay
