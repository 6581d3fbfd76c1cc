// SPDX-License-Identifier: Apache-2.0
#include "optim/adamw.h"

namespace inlay {

kernels::AdamwStep adamw_step(const OptimizerStep& step) {
  kernels::AdamwStep out;
  out.learning_rate = step.learning_rate;
  out.beta1 = step.config.beta1;
  out.beta2 = step.config.beta2;
  out.epsilon = step.config.epsilon;
  out.weight_decay = step.config.weight_decay;
  out.t = step.t;
  out.gradient_scale = step.gradient_scale;
  return out;
}

std::vector<StateTensor> adamw_state(const Parameter& parameter) {
  const Shape& shape = parameter.value.shape();
  return {{"exp_avg", shape}, {"exp_avg_sq", shape}};
}

void adamw_update(const OptimizerStep& step, const Parameter& parameter, const Tensor& gradient,
                  std::span<const Tensor> state) {
  on(parameter.value)
      .adamw(adamw_step(step), gradient.in(), parameter.value.out(), state[0].out(),
             state[1].out());
}

// Adam with decoupled weight decay, in PyTorch's order (Loshchilov & Hutter 2019, arXiv:1711.05101,
// Alg. 2; see core/kernels/adamw.h). Two f32 moments a value: 8 bytes a parameter.
OptimizerKind adamw() {
  return {.name = "adamw",
          .remark = "",
          .smaller = "adamw_8bit",
          .state = adamw_state,
          .update = adamw_update};
}

}  // namespace inlay
