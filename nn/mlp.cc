// SPDX-License-Identifier: Apache-2.0
#include "nn/mlp.h"

#include <optional>
#include <utility>
#include <vector>

#include "core/autograd/graph.h"
#include "core/ops/elementwise.h"
#include "core/ops/mlp.h"

namespace inlay {
namespace {

// How what first and up make is kept.
Keep wide_keep(const Pass& pass) {
  return pass.recompute == Recompute::kSelective ? Keep::kRecipe : pass.keep;
}

// The layers as the parts of one operation, if in this pass they are projections; `up` may be null.
std::optional<MlpProjections> as_projections(const LinearLike& first, const LinearLike* up,
                                             const LinearLike& down, const Pass& pass) {
  // Asked beforehand: what it takes to make a projection, an adapter's lengths of rows say, is not to
  // be spent on one that is then not used.
  if (!are_projections({&first, up != nullptr ? up : &first, &down}, pass)) {
    return std::nullopt;
  }
  MlpProjections parts;
  parts.first = *first.projection(pass);
  parts.up = up != nullptr ? up->projection(pass) : std::nullopt;
  parts.down = *down.projection(pass);
  return parts;
}

}  // namespace

Mlp::Mlp(const MlpPlan& plan, const std::string& name, i64 hidden_size, WeightSource& weights)
    : plan_(plan) {
  LinearSpec spec{.in = hidden_size,
                  .out = plan.width,
                  .bias = plan.bias,
                  .layout = plan.layout,
                  .init_std = plan.init_std};
  spec.out = plan.fused ? 2 * plan.width : plan.width;
  first_ = weights.linear(dotted(name, plan.first), spec);
  spec.out = plan.width;
  if (!plan.up.empty()) {
    up_ = weights.linear(dotted(name, plan.up), spec);
  }
  std::swap(spec.in, spec.out);
  spec.init_std = plan.down_init_std;
  down_ = weights.linear(dotted(name, plan.down), spec);
}

Tensor Mlp::widened(const Tensor& x, const Pass& pass) const {
  const auto products = [this, pass](const Tensor& from) {
    return up_ == nullptr ? std::vector<Tensor>{first_->forward(from, pass)}
                          : forward_together({first_.get(), up_.get()}, from, pass);
  };
  std::vector<Tensor> wide = products(x);
  const Keep keep = wide_keep(pass);
  if (keep == Keep::kRecipe) {
    set_recipes(wide, [products, sx = save(x, pass.keep)] { return products(sx.get()); });
  }
  if (plan_.fused) {
    return gated_rows(plan_.activation, wide[0], keep);
  }
  return up_ == nullptr ? activation(plan_.activation, wide[0], keep)
                        : gated(plan_.activation, wide[0], wide[1], keep);
}

Tensor Mlp::forward(const Tensor& residual, const Tensor& x, const Pass& pass) const {
  if (auto parts = as_projections(*first_, up_.get(), *down_, pass)) {
    parts->activation = plan_.activation;
    parts->fused = plan_.fused;
    // An activation without a gate has no form for bf16.
    const bool narrow = plan_.gated() && current_kernels().has_bf16_operands(pass.compute);
    return project_mlp(residual, x, *parts, pass.compute, narrow ? DType::kBf16 : DType::kF32,
                       {.values = pass.keep, .wide = wide_keep(pass)});
  }
  // The widest values of the block are gone before the next product, unless they are kept.
  const Tensor wide = widened(x, pass);
  return residual.defined() ? forward_onto(residual, *down_, wide, pass)
                            : down_->forward(wide, pass);
}

void Mlp::visit(Visitor& visitor, const std::string& name) {
  visitor.linear(dotted(name, plan_.first), first_);
  if (up_ != nullptr) {
    visitor.linear(dotted(name, plan_.up), up_);
  }
  visitor.linear(dotted(name, plan_.down), down_);
}

}  // namespace inlay
