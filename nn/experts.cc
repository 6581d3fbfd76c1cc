// SPDX-License-Identifier: Apache-2.0
#include "nn/experts.h"

#include <utility>

namespace inlay {
namespace {

ExpertStackSpec sized(ExpertStackSpec spec, i64 experts, i64 in, i64 out) {
  spec.experts = experts;
  spec.in = in;
  spec.out = out;
  return spec;
}

// What the router computes with.
Pass router_pass(const Pass& pass) {
  Pass own = pass;
  own.compute = GemmCompute::kF32;
  return own;
}

}  // namespace

Experts::Experts(const ExpertsPlan& plan, const std::string& layer, i64 hidden_size,
                 WeightSource& weights)
    : plan_(plan),
      router_(weights.linear(dotted(dotted(layer, plan.name), plan.router),
                             {.in = hidden_size,
                              .out = plan.experts,
                              .bias = plan.router_bias,
                              .init_std = plan.gate_up.init_std,
                              .dense = true})),
      gate_up_(sized(plan.gate_up, plan.experts, hidden_size, 2 * plan.width),
               dotted(dotted(layer, plan.name), plan.stacks), weights),
      down_(sized(plan.down, plan.experts, plan.width, hidden_size),
            dotted(dotted(layer, plan.name), plan.stacks), weights) {}

Tensor Experts::forward(const Tensor& residual, const Tensor& x, const Pass& pass) const {
  const Routing routing = route(router_->forward(x, router_pass(pass)), plan_.routing);
  ExpertMlp mlp;
  mlp.experts = plan_.experts;
  mlp.wide = gate_up_.projection(pass);
  mlp.gate = plan_.gate;
  mlp.gate.interleaved = gate_up_.interleaved();
  mlp.down = down_.projection(pass);
  const Keep wide = pass.recompute == Recompute::kSelective ? Keep::kRecipe : pass.keep;
  return expert_mlp(residual, x, routing, mlp, pass.compute, {.values = pass.keep, .wide = wide});
}

void Experts::visit(Visitor& visitor, const std::string& layer) {
  const std::string name = dotted(layer, plan_.name);
  if (plan_.router_is_linear) {
    visitor.linear(dotted(name, plan_.router), router_);
  } else {
    visitor.router(dotted(name, plan_.router), router_);
  }
  visitor.experts(dotted(name, plan_.stacks), gate_up_);
  visitor.experts(dotted(name, plan_.stacks), down_);
}

}  // namespace inlay
