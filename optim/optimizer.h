// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/tensor/tensor.h"

/// Optimizers see named parameters with gradients, never layers.
namespace inlay {

struct Parameter {
  std::string name;
  Tensor value;  // f32, contiguous; its grad() is read
  /// Much of a step's gradient may be exactly zero: an embedding's, where a token does not occur.
  bool sparse_gradient = false;
  bool decays = true;  // takes part in OptimizerConfig::weight_decay
};

struct OptimizerConfig {
  std::string name = "adamw";
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
};

class Optimizer {
 public:
  virtual ~Optimizer() = default;
  /// One step from the gradients, each first multiplied by `gradient_scale` (clipping). A parameter
  /// without a gradient is left alone. Gradients are kept.
  virtual void step(double learning_rate, double gradient_scale) = 0;
  /// Steps taken so far.
  virtual i64 steps() const = 0;

  /// What a checkpoint must hold to go on bit for bit: named tensors, such as
  /// "exp_avg.<parameter>", f32 or u8.
  virtual std::vector<Parameter> state() = 0;
  virtual void set_steps(i64 steps) = 0;
};

/// Throws ConfigError for a name no optimizer has.
std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config,
                                          std::vector<Parameter> parameters);
std::vector<std::string> optimizer_names();

}  // namespace inlay
