// SPDX-License-Identifier: Apache-2.0
#include "optim/clip.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace inlay {

double global_grad_norm(std::span<const Parameter> parameters) {
  // One square a parameter, added on the host in the order of the parameters: one reading for all.
  const Tensor squares = Tensor::zeros({std::ssize(parameters)}, DType::kF64);
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const Tensor grad = parameters[i].value.grad();
    if (grad.defined()) {
      on(grad).sum_of_squares(grad.in(), squares.span<double>().subspan(i, 1));
    }
  }
  const std::vector<double> parts = squares.copy_out<double>();
  return std::sqrt(std::accumulate(parts.begin(), parts.end(), 0.0));
}

double clip_scale(double norm, double max_norm) {
  return max_norm > 0.0 ? std::min(1.0, max_norm / (norm + 1e-6)) : 1.0;
}

}  // namespace inlay
