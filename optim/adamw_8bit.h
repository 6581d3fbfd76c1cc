// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "optim/adamw.h"
#include "optim/optimizer.h"

namespace inlay {

/// AdamW with its moments in 8 bits, as bitsandbytes' AdamW8bit keeps them: dynamic codes with one
/// f32 scale a block of 256 values, 2.03 bytes a parameter (Dettmers et al. 2021, arXiv:2110.02861;
/// see core/kernels/adamw.h). Requantisation takes the nearest code, in f32 arithmetic.
///
/// Two kinds of parameters keep f32 moments:
/// - Those of fewer than kLeast8BitSize values, which would save nothing.
/// - Those of sparse gradients (Parameter::sparse_gradient). v of a value 2500 times below the
///   largest gradient of its block rounds to 0 and m does not; where the next gradient is exactly
///   0, m / (sqrt(v) + epsilon) then throws the value away.
class AdamW8bit final : public Optimizer {
 public:
  static constexpr i64 kLeast8BitSize = 4096;  // bitsandbytes' min_8bit_size

  AdamW8bit(const OptimizerConfig& config, const std::vector<Parameter>& parameters);

  void step(double learning_rate, double gradient_scale) override;
  i64 steps() const override { return exact_.steps(); }
  std::vector<Parameter> state() override;
  void set_steps(i64 steps) override { exact_.set_steps(steps); }

 private:
  struct Moment {
    Tensor codes;   // u8, in the parameter's shape
    Tensor absmax;  // f32 [blocks]
  };
  struct Moments {
    Moment first, second;
  };
  void ensure_moments();

  OptimizerConfig config_;
  std::vector<Parameter> parameters_;  // those with 8-bit moments
  std::vector<Moments> moments_;
  AdamW exact_;  // of all others; it counts the steps
};

}  // namespace inlay
