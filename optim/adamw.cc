// SPDX-License-Identifier: Apache-2.0
#include "optim/adamw.h"

#include <utility>

namespace inlay {

kernels::AdamwStep adamw_step(const OptimizerConfig& config, i64 t, double learning_rate,
                              double gradient_scale) {
  kernels::AdamwStep step;
  step.learning_rate = learning_rate;
  step.beta1 = config.beta1;
  step.beta2 = config.beta2;
  step.epsilon = config.epsilon;
  step.weight_decay = config.weight_decay;
  step.t = t;
  step.gradient_scale = gradient_scale;
  return step;
}

kernels::AdamwStep for_parameter(kernels::AdamwStep step, const Parameter& parameter) {
  if (!parameter.decays) {
    step.weight_decay = 0.0;
  }
  return step;
}

AdamW::AdamW(const OptimizerConfig& config, std::vector<Parameter> parameters)
    : config_(config), parameters_(std::move(parameters)) {}

void AdamW::ensure_moments() {
  const MemoryScope scope(MemoryClass::kOptimizer);
  while (first_.size() < parameters_.size()) {
    const Shape& shape = parameters_[first_.size()].value.shape();
    first_.push_back(Tensor::zeros(shape));
    second_.push_back(Tensor::zeros(shape));
  }
}

void AdamW::step(double learning_rate, double gradient_scale) {
  ensure_moments();
  ++steps_;
  const kernels::AdamwStep step = adamw_step(config_, steps_, learning_rate, gradient_scale);
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& value = parameters_[i].value;
    const Tensor grad = value.grad();
    if (grad.defined()) {
      on(value).adamw(for_parameter(step, parameters_[i]), grad.in(), value.out(), first_[i].out(),
                      second_[i].out());
    }
  }
}

std::vector<Parameter> AdamW::state() {
  ensure_moments();
  std::vector<Parameter> out;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    out.push_back({"exp_avg." + parameters_[i].name, first_[i]});
    out.push_back({"exp_avg_sq." + parameters_[i].name, second_[i]});
  }
  return out;
}

}  // namespace inlay
