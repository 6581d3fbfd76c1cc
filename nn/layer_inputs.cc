// SPDX-License-Identifier: Apache-2.0
#include "nn/layer_inputs.h"

#include <cmath>

#include "core/ops/elementwise.h"
#include "core/ops/shape.h"

namespace inlay {
namespace {

float root(i64 n) {
  return static_cast<float>(std::sqrt(static_cast<double>(n)));
}

}  // namespace

LayerInputs::LayerInputs(const LayerInputsPlan& plan, const NormPlan& norm, i64 layers,
                         i64 hidden_size, double init_std, WeightSource& weights)
    : plan_(plan),
      layers_(layers),
      projection_scale_(1.0F / root(hidden_size)),
      table_(weights.embedding(plan.table, plan.rows, layers * plan.width, init_std)),
      projection_(weights.linear(
          plan.projection, {.in = hidden_size, .out = layers * plan.width, .init_std = init_std})),
      norm_(norm, plan.norm, plan.width, weights) {
  // In the type of the table, as the embedding's own factor.
  table_scale_ = rounded_to(table_->dtype(), root(plan.width));
}

std::vector<Tensor> LayerInputs::forward(const Tensor& x, const Pass& pass) const {
  const i64 N = x.dim(0), p = plan_.width;
  const Tensor projected = scale(projection_->forward(x, pass), projection_scale_);
  const Tensor normed =
      reshape(norm_.forward(reshape(projected, {N * layers_, p}), pass), {N, layers_ * p});
  const Tensor rows = table_->forward(pass.tokens->id_list(), pass);
  const Tensor sum = scale(add_scaled(normed, rows, table_scale_), 1.0F / root(2));
  return split_columns(sum, std::vector<i64>(layers_, p));
}

void LayerInputs::visit(Visitor& visitor, const std::string& name) {
  visitor.embedding(dotted(name, plan_.table), table_);
  visitor.linear(dotted(name, plan_.projection), projection_);
  norm_.visit(visitor, dotted(name, plan_.norm));
}

LayerInputGate::LayerInputGate(const LayerInputsPlan& plan, const NormPlan& norm,
                               const std::string& layer, i64 hidden_size, double init_std,
                               WeightSource& weights)
    : plan_(plan),
      gate_(weights.linear(dotted(layer, plan.gate),
                           {.in = hidden_size, .out = plan.width, .init_std = init_std})),
      up_(weights.linear(dotted(layer, plan.up),
                         {.in = plan.width, .out = hidden_size, .init_std = init_std})),
      after_(norm, dotted(layer, plan.after), hidden_size, weights) {}

Tensor LayerInputGate::forward(const Tensor& x, const Tensor& input, const Pass& pass) const {
  const Tensor chosen = gated(plan_.activation, gate_->forward(x, pass), input, pass.keep);
  return after_.forward_onto(x, up_->forward(chosen, pass), pass);
}

void LayerInputGate::visit(Visitor& visitor, const std::string& layer) {
  visitor.linear(dotted(layer, plan_.gate), gate_);
  visitor.linear(dotted(layer, plan_.up), up_);
  after_.visit(visitor, dotted(layer, plan_.after));
}

}  // namespace inlay
