// SPDX-License-Identifier: Apache-2.0
#include "optim/optimizer.h"

#include <utility>

#include "core/error.h"
#include "core/memory/memory.h"

namespace inlay {

Optimizer::Optimizer(const OptimizerKind& kind, const OptimizerConfig& config,
                     std::vector<Parameter> parameters)
    : kind_(kind), config_(config), parameters_(std::move(parameters)) {}

// At the first step and not before: the passes of that step, the heaviest of a short run, then have
// the room to themselves.
void Optimizer::ensure_state() {
  const MemoryScope scope(MemoryClass::kOptimizer);
  while (state_.size() < parameters_.size()) {
    std::vector<Tensor>& own = state_.emplace_back();
    for (const StateTensor& tensor : kind_.state(parameters_[state_.size() - 1])) {
      own.push_back(Tensor::zeros(tensor.shape, tensor.dtype));
    }
  }
}

void Optimizer::step(double learning_rate, double gradient_scale) {
  ensure_state();
  ++steps_;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Parameter& parameter = parameters_[i];
    const Tensor gradient = parameter.value.grad();
    if (!gradient.defined()) {
      continue;
    }
    OptimizerStep step = {config_, steps_, learning_rate, gradient_scale};
    if (!parameter.decays) {
      step.config.weight_decay = 0.0;
    }
    kind_.update(step, parameter, gradient, state_[i]);
  }
}

std::vector<Parameter> Optimizer::state() {
  ensure_state();
  std::vector<Parameter> out;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const std::vector<StateTensor> tensors = kind_.state(parameters_[i]);
    for (std::size_t k = 0; k < tensors.size(); ++k) {
      out.push_back({str(tensors[k].name, ".", parameters_[i].name), state_[i][k]});
    }
  }
  return out;
}

}  // namespace inlay
