// SPDX-License-Identifier: Apache-2.0
#include "optim/adamw_8bit.h"

#include <algorithm>
#include <iterator>

namespace inlay {
namespace {

bool takes_8bit_moments(const Parameter& p) {
  return p.value.numel() >= AdamW8bit::kLeast8BitSize && !p.sparse_gradient;
}

std::vector<Parameter> those(const std::vector<Parameter>& parameters, bool in_8bit) {
  std::vector<Parameter> out;
  std::ranges::copy_if(parameters, std::back_inserter(out),
                       [in_8bit](const Parameter& p) { return takes_8bit_moments(p) == in_8bit; });
  return out;
}

}  // namespace

AdamW8bit::AdamW8bit(const OptimizerConfig& config, const std::vector<Parameter>& parameters)
    : config_(config),
      parameters_(those(parameters, true)),
      exact_(config, those(parameters, false)) {}

void AdamW8bit::ensure_moments() {
  const MemoryScope scope(MemoryClass::kOptimizer);
  const auto zero = [](const Tensor& value) {
    const i64 blocks = (value.numel() + kernels::kMomentBlock - 1) / kernels::kMomentBlock;
    return Moment{Tensor::zeros(value.shape(), DType::kU8), Tensor::zeros({blocks})};
  };
  while (moments_.size() < parameters_.size()) {
    const Tensor& value = parameters_[moments_.size()].value;
    moments_.push_back({zero(value), zero(value)});
  }
}

void AdamW8bit::step(double learning_rate, double gradient_scale) {
  ensure_moments();
  exact_.step(learning_rate, gradient_scale);
  const kernels::AdamwStep step = adamw_step(config_, steps(), learning_rate, gradient_scale);
  const auto open = [](const Moment& moment) {
    return kernels::EightBitMoment{moment.codes.span<u8>(), moment.absmax.out()};
  };
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const Tensor& value = parameters_[i].value;
    const Tensor grad = value.grad();
    if (grad.defined()) {
      on(value).adamw_8bit(for_parameter(step, parameters_[i]), grad.in(), value.out(),
                           open(moments_[i].first), open(moments_[i].second));
    }
  }
}

std::vector<Parameter> AdamW8bit::state() {
  ensure_moments();
  std::vector<Parameter> out = exact_.state();
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    const std::string& name = parameters_[i].name;
    out.push_back({"exp_avg_codes." + name, moments_[i].first.codes});
    out.push_back({"exp_avg_absmax." + name, moments_[i].first.absmax});
    out.push_back({"exp_avg_sq_codes." + name, moments_[i].second.codes});
    out.push_back({"exp_avg_sq_absmax." + name, moments_[i].second.absmax});
  }
  return out;
}

}  // namespace inlay
