// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "core/kernels/activation.h"
#include "nn/linear.h"
#include "nn/weights.h"

namespace inlay {

/// One layer's feed-forward block, and what its projections are called.
struct MlpPlan {
  i64 width = 0;  // I: of the values between the products
  kernels::Activation activation = kernels::Activation::kSilu;
  bool bias = false;
  WeightLayout layout = WeightLayout::kOutIn;
  double init_std = 0.02, down_init_std = 0.02;  // from scratch
  /// The projections by their names in the layer; `up` is empty in a block without a gate.
  std::string first = "gate_proj", up = "up_proj", down = "down_proj";
  /// One product gives gate and up, in this order, by the name of `first`; `up` is empty.
  bool fused = false;

  bool gated() const { return fused || !up.empty(); }
};

/// down(act(first(x)) * up(x)), or down(act(first(x))) without a gate, as in GPT-2 (gates: Shazeer
/// 2020, arXiv:2002.05202).
class Mlp final : public Module {
 public:
  /// `name`: the whole path of this module; hidden_size: C, the width of x and of the result.
  Mlp(const MlpPlan& plan, const std::string& name, i64 hidden_size, WeightSource& weights);

  /// Of x [N, C]; onto `residual` [N, C] where that is defined.
  Tensor forward(const Tensor& residual, const Tensor& x, const Pass& pass) const;
  void visit(Visitor& visitor, const std::string& name) override;

 private:
  /// act(first(x)) * up(x), or act(first(x)), layer by layer.
  Tensor widened(const Tensor& x, const Pass& pass) const;

  MlpPlan plan_;
  std::unique_ptr<LinearLike> first_, up_, down_;  // up_ is null without a gate, or in `first_`
};

}  // namespace inlay
