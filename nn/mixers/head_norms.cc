// SPDX-License-Identifier: Apache-2.0
#include "nn/mixers/head_norms.h"

#include <utility>

#include "core/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape.h"

namespace inlay {
namespace {

std::string weight_name(const HeadNormPlan& plan, const std::string& name, std::size_t head) {
  return plan.weights == HeadNormPlan::kOwn ? str(name, ".norms.", head, ".weight")
                                            : dotted(name, "weight");
}

}  // namespace

HeadNorms::HeadNorms(const HeadNormPlan& plan, const std::string& name, i64 heads, i64 head_dim,
                     WeightSource& weights)
    : plan_(plan) {
  norm_.group = plan.weights == HeadNormPlan::kWhole ? heads * head_dim : head_dim;
  norm_.centred = plan.kind == HeadNormPlan::kLayer;
  norm_.eps = static_cast<float>(plan.eps);
  norm_.after_rope = plan.after_rope;
  const bool has_weights = plan.weights != HeadNormPlan::kNone;
  const i64 count = plan.weights == HeadNormPlan::kOwn ? heads : i64{has_weights};
  for (i64 i = 0; i < count; ++i) {
    weights_.push_back(
        weights.vector(weight_name(plan, name, i), norm_.group, plan.plus_one ? 0.0F : 1.0F));
  }
  if (!has_weights || plan.plus_one) {
    ones_ = Tensor::full({std::max<i64>(1, count) * norm_.group}, 1.0F);
  }
}

// Made anew in each pass and not when loading: what is trained, saved and merged is the weight as
// the checkpoint has it.
Tensor HeadNorms::factor() const {
  if (weights_.empty()) {
    return ones_;
  }
  Tensor weight = weights_.size() == 1 ? weights_[0] : concatenate(weights_);
  return plan_.plus_one ? add(std::move(weight), ones_) : weight;
}

Tensor HeadNorms::forward(Tensor x, const std::optional<HeadTurn>& turn, const Pass& pass) const {
  return norm_heads(std::move(x), factor(), norm_, turn, pass.keep);
}

void HeadNorms::visit(Visitor& visitor, const std::string& name) {
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    visitor.parameter(weight_name(plan_, name, i), weights_[i]);
  }
}

}  // namespace inlay
