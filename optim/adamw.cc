// SPDX-License-Identifier: Apache-2.0
#include "optim/adamw.h"

#include <utility>

#include "core/kernels/adamw.h"

namespace inlay {

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
  kernels::AdamwStep step;
  step.learning_rate = learning_rate;
  step.beta1 = config_.beta1;
  step.beta2 = config_.beta2;
  step.epsilon = config_.epsilon;
  step.weight_decay = config_.weight_decay;
  step.t = steps_;
  step.gradient_scale = gradient_scale;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& value = parameters_[i].value;
    const Tensor grad = value.grad();
    if (grad.defined()) {
      kernels::adamw(step, grad.values(), value.mutable_values(), first_[i].mutable_values(),
                     second_[i].mutable_values());
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
