// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "core/ops/routing.h"
#include "nn/expert_stack.h"
#include "nn/linear.h"
#include "nn/weights.h"

namespace inlay {

/// A layer's mixture of experts: of E gated feed-forward blocks a router chooses k for each token.
struct ExpertsPlan {
  std::string name = "mlp";     // of the module in the layer
  std::string router = "gate";  // below it, as checkpoints have it; its matrix is [E, C]
  bool router_bias = false;
  bool router_is_linear = false;  // to PEFT: a layer that "all-linear" means
  RoutingOptions routing;
  i64 experts = 0;  // E
  i64 width = 0;    // I of each
  kernels::ExpertGate gate;
  std::string stacks = "experts";  // the module of the matrices, below `name`
  ExpertStackSpec gate_up{.parameter = "gate_up_proj", .parts = {"gate_proj", "up_proj"}};
  ExpertStackSpec down{.parameter = "down_proj", .parts = {"down_proj"}};
};

/// sum over the chosen e of weight_e * down_e(act(gate_e(x)) * up_e(x)), weights and choice by
/// logits = x R^T (+ bias) (Shazeer et al. 2017, arXiv:1701.06538; Fedus et al. 2022,
/// arXiv:2101.03961). The router computes in f32, whatever the pass rounds products to: a choice
/// that hangs on a rounding would not repeat elsewhere.
class Experts final : public Module {
 public:
  /// `layer`: the path of the layer; hidden_size: C, the width of x and of the result.
  Experts(const ExpertsPlan& plan, const std::string& layer, i64 hidden_size,
          WeightSource& weights);

  /// Of x [N, C]; onto `residual` [N, C] where that is defined.
  Tensor forward(const Tensor& residual, const Tensor& x, const Pass& pass) const;
  /// `layer`: its path.
  void visit(Visitor& visitor, const std::string& layer) override;

 private:
  ExpertsPlan plan_;
  std::unique_ptr<LinearLike> router_;
  ExpertStack gate_up_, down_;
};

}  // namespace inlay
