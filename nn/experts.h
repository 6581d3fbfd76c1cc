// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "core/ops/routing.h"
#include "nn/expert_stack.h"
#include "nn/linear.h"
#include "nn/norm.h"
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
  /// Gemma 4's: norms of the experts' own, by their names in the layer, which then read what the
  /// layer's feed-forward part begins with; and the router reads that, too, divided by its root mean
  /// square, times a vector `router_scale` [C] and C^-1/2. `expert_scale` [E] multiplies the weights
  /// of the chosen. Both by their names in the layer; empty: none.
  std::string norm_before, norm_after;
  std::string router_scale, expert_scale;
};

/// sum over the chosen e of weight_e * down_e(act(gate_e(x)) * up_e(x)), weights and choice by
/// logits = x R^T (+ bias) (Shazeer et al. 2017, arXiv:1701.06538; Fedus et al. 2022,
/// arXiv:2101.03961). The router computes in f32, whatever the pass rounds products to: a choice
/// that hangs on a rounding would not repeat elsewhere.
class Experts final : public Module {
 public:
  /// `layer`: the path of the layer; hidden_size: C, the width of x and of the result.
  Experts(const ExpertsPlan& plan, const NormPlan& norm, const std::string& layer, i64 hidden_size,
          WeightSource& weights);

  /// Of x [N, C], which is `whole` after the layer's norm; onto `residual` [N, C] where that is
  /// defined.
  Tensor forward(const Tensor& residual, const Tensor& x, const Tensor& whole,
                 const Pass& pass) const;
  /// `layer`: its path.
  void visit(Visitor& visitor, const std::string& layer) override;

 private:
  Tensor logits(const Tensor& x, const Tensor& whole, const Pass& pass) const;

  ExpertsPlan plan_;
  NormPlan norm_plan_;
  std::unique_ptr<LinearLike> router_;
  Tensor router_scale_, expert_scale_;  // undefined where there are none
  std::optional<Norm> before_, after_;
  ExpertStack gate_up_, down_;
};

}  // namespace inlay
