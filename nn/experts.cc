// SPDX-License-Identifier: Apache-2.0
#include "nn/experts.h"

#include <cmath>
#include <utility>

#include "core/ops/elementwise.h"
#include "core/ops/norm.h"

namespace inlay {
namespace {

ExpertStackSpec sized(ExpertStackSpec spec, const ExpertsPlan& plan, i64 in, i64 out) {
  spec.experts = plan.experts;
  spec.chosen = plan.routing.chosen;
  spec.in = in;
  spec.out = out;
  return spec;
}

// A part of the module `name` of a layer; without a name the layer is that module.
std::string below(const std::string& layer, const std::string& name, const std::string& part) {
  return dotted(name.empty() ? layer : dotted(layer, name), part);
}

// What the router computes with.
Pass router_pass(const Pass& pass) {
  Pass own = pass;
  own.compute = GemmCompute::kF32;
  return own;
}

}  // namespace

Experts::Experts(const ExpertsPlan& plan, const NormPlan& norm, const std::string& layer,
                 i64 hidden_size, WeightSource& weights)
    : plan_(plan),
      norm_plan_(norm),
      router_(
          weights.linear(below(layer, plan.name, plan.router), {.in = hidden_size,
                                                                .out = plan.experts,
                                                                .bias = plan.router_bias,
                                                                .init_std = plan.gate_up.init_std,
                                                                .dense = true})),
      gate_up_(sized(plan.gate_up, plan, hidden_size, 2 * plan.width),
               below(layer, plan.name, plan.stacks), weights),
      down_(sized(plan.down, plan, plan.width, hidden_size), below(layer, plan.name, plan.stacks),
            weights) {
  if (!plan.router_scale.empty()) {
    router_scale_ = weights.vector(dotted(layer, plan.router_scale), hidden_size, 1.0F);
  }
  if (!plan.expert_scale.empty()) {
    expert_scale_ = weights.vector(dotted(layer, plan.expert_scale), plan.experts, 1.0F);
  }
  if (!plan.norm_before.empty()) {
    before_.emplace(norm, dotted(layer, plan.norm_before), hidden_size, weights);
  }
  if (!plan.norm_after.empty()) {
    after_.emplace(norm, dotted(layer, plan.norm_after), hidden_size, weights);
  }
}

Tensor Experts::logits(const Tensor& x, const Tensor& whole, const Pass& pass) const {
  if (!router_scale_.defined()) {
    return router_->forward(x, router_pass(pass));
  }
  const auto width = static_cast<float>(whole.dim(-1));
  const Tensor normed = rms_norm(whole, router_scale_,
                                 {.eps = static_cast<float>(norm_plan_.eps), .keep = pass.keep});
  return router_->forward(scale(normed, 1.0F / std::sqrt(width)), router_pass(pass));
}

Tensor Experts::forward(const Tensor& residual, const Tensor& x, const Tensor& whole,
                        const Pass& pass) const {
  const Routing routing = route(logits(x, whole, pass), plan_.routing, expert_scale_);
  ExpertMlp mlp;
  mlp.experts = plan_.experts;
  mlp.wide = gate_up_.projection(pass);
  mlp.gate = plan_.gate;
  mlp.gate.interleaved = gate_up_.interleaved();
  mlp.down = down_.projection(pass);
  const Keep wide = pass.recompute == Recompute::kSelective ? Keep::kRecipe : pass.keep;
  const Tensor from = before_ ? before_->forward(whole, pass) : x;
  const Tensor y = expert_mlp(after_ ? Tensor() : residual, from, routing, mlp, pass.compute,
                              {.values = pass.keep, .wide = wide});
  if (!after_) {
    return y;
  }
  Tensor normed = after_->forward(y, pass);
  return residual.defined() ? add(std::move(normed), residual) : normed;
}

void Experts::visit(Visitor& visitor, const std::string& layer) {
  const std::string router = below(layer, plan_.name, plan_.router);
  if (plan_.router_is_linear) {
    visitor.linear(router, router_);
  } else {
    visitor.router(router, router_);
  }
  if (router_scale_.defined()) {
    visitor.parameter(dotted(layer, plan_.router_scale), router_scale_);
  }
  if (expert_scale_.defined()) {
    visitor.parameter(dotted(layer, plan_.expert_scale), expert_scale_);
  }
  if (before_) {
    before_->visit(visitor, dotted(layer, plan_.norm_before));
  }
  visitor.experts(below(layer, plan_.name, plan_.stacks), gate_up_);
  visitor.experts(below(layer, plan_.name, plan_.stacks), down_);
  if (after_) {
    after_->visit(visitor, dotted(layer, plan_.norm_after));
  }
}

}  // namespace inlay
