// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/tensor/tensor.h"

/// Optimizers see named parameters with gradients, never layers. Each is a row of the table in
/// registry.cc: what it keeps of a parameter, and what a step does to it. All else is the one
/// class Optimizer.
namespace inlay {

struct Parameter {
  std::string name;
  Tensor value;  // f32, contiguous; its grad() is read
  /// Much of a step's gradient may be exactly zero: an embedding's, where a token does not occur.
  bool sparse_gradient = false;
  bool decays = true;  // takes part in OptimizerConfig::weight_decay
};

struct OptimizerConfig {
  double beta1 = 0.9;
  double beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
};

/// A tensor that is kept of a parameter from one step to the next, zero before the first.
struct StateTensor {
  std::string_view name;  // a checkpoint has it as "<name>.<parameter>"
  Shape shape;
  DType dtype = DType::kF32;
};

/// What every parameter's part of a step needs to know.
struct OptimizerStep {
  OptimizerConfig config;  // its weight_decay is 0 for a parameter that takes no part in that
  i64 t = 1;               // 1 for the first step
  double learning_rate = 0.0;
  double gradient_scale = 1.0;  // gradients are multiplied by it on the way in (clipping)
};

/// A row of the table of optimizers.
struct OptimizerKind {
  std::string_view name;     // as configs spell it
  std::string_view remark;   // behind the name in a help text; "": none
  std::string_view smaller;  // the name of one with the same steps but for rounding, in less
                             // memory; "": none
  std::vector<StateTensor> (*state)(const Parameter& parameter);
  /// Updates the parameter's values and `state`, which is as the function above lists it.
  void (*update)(const OptimizerStep& step, const Parameter& parameter, const Tensor& gradient,
                 std::span<const Tensor> state);
};

std::span<const OptimizerKind> optimizers();
std::vector<std::string> optimizer_names();
/// Throws ConfigError for a name no optimizer has.
const OptimizerKind& optimizer_named(std::string_view name);

class Optimizer {
 public:
  Optimizer(const OptimizerKind& kind, const OptimizerConfig& config,
            std::vector<Parameter> parameters);

  /// One step from the gradients, each first multiplied by `gradient_scale` (clipping). A parameter
  /// without a gradient is left alone. Gradients are kept.
  void step(double learning_rate, double gradient_scale);
  /// Steps taken so far.
  i64 steps() const { return steps_; }

  /// What a checkpoint must hold to go on bit for bit: named tensors, such as
  /// "exp_avg.<parameter>", f32 or u8.
  std::vector<Parameter> state();
  void set_steps(i64 steps) { steps_ = steps; }

 private:
  void ensure_state();

  OptimizerKind kind_;
  OptimizerConfig config_;
  std::vector<Parameter> parameters_;
  std::vector<std::vector<Tensor>> state_;  // of each parameter, made at the first step
  i64 steps_ = 0;
};

}  // namespace inlay
