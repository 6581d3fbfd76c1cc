// SPDX-License-Identifier: Apache-2.0
#include "nn/norm.h"

#include "core/ops/elementwise.h"
#include "core/ops/norm.h"

namespace inlay {

Norm::Norm(const NormPlan& plan, const std::string& name, i64 size, WeightSource& weights)
    : plan_(plan),
      weight_(weights.vector(dotted(name, "weight"), size, plan.plus_one ? 0.0F : 1.0F)) {
  if (plan.kind == NormKind::kLayer) {
    bias_ = weights.vector(dotted(name, "bias"), size, 0.0F);
  }
  if (plan.plus_one) {
    ones_ = Tensor::full({size}, 1.0F);
  }
}

Tensor Norm::forward(const Tensor& x, const Pass& pass) const {
  // Added anew in each pass and not when loading: what is trained, saved and merged is the weight
  // as the checkpoint has it.
  const Tensor factor = plan_.plus_one ? add(weight_, ones_) : weight_;
  const auto eps = static_cast<float>(plan_.eps);
  return plan_.kind == NormKind::kRms ? rms_norm(x, factor, eps, pass.keep)
                                      : layer_norm(x, factor, bias_, eps, pass.keep);
}

void Norm::visit(Visitor& visitor, const std::string& name) {
  visitor.parameter(dotted(name, "weight"), weight_);
  if (plan_.kind == NormKind::kLayer) {
    visitor.parameter(dotted(name, "bias"), bias_);
  }
}

}  // namespace inlay
