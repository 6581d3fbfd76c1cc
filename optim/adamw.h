// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <vector>

#include "core/kernels/adamw.h"
#include "optim/optimizer.h"

namespace inlay {

/// What step t does to every value of a parameter that decays.
kernels::AdamwStep adamw_step(const OptimizerConfig& config, i64 t, double learning_rate,
                              double gradient_scale);
/// The same step for this very parameter: without decay where it takes no part in that.
kernels::AdamwStep for_parameter(kernels::AdamwStep step, const Parameter& parameter);

/// Adam with decoupled weight decay, in PyTorch's order (Loshchilov & Hutter 2019,
/// arXiv:1711.05101, Alg. 2; see core/kernels/adamw.h). Two f32 moments a value: 8 bytes a
/// parameter, made at the first step.
class AdamW final : public Optimizer {
 public:
  AdamW(const OptimizerConfig& config, std::vector<Parameter> parameters);

  void step(double learning_rate, double gradient_scale) override;
  i64 steps() const override { return steps_; }
  std::vector<Parameter> state() override;
  void set_steps(i64 steps) override { steps_ = steps; }

 private:
  void ensure_moments();

  OptimizerConfig config_;
  std::vector<Parameter> parameters_;
  std::vector<Tensor> first_, second_;
  i64 steps_ = 0;
};

}  // namespace inlay
