// SPDX-License-Identifier: Apache-2.0
#include "nn/norm.h"

#include "core/error.h"
#include "core/ops/elementwise.h"

namespace inlay {

Norm::Norm(const NormPlan& plan, const std::string& name, i64 size, WeightSource& weights)
    : plan_(plan) {
  INLAY_ASSERT(plan.weight || plan.kind == NormKind::kRms);
  if (plan.weight) {
    weight_ = weights.vector(dotted(name, "weight"), size, plan.plus_one ? 0.0F : 1.0F);
  }
  if (plan.kind == NormKind::kLayer && plan.bias) {
    bias_ = weights.vector(dotted(name, "bias"), size, 0.0F);
  }
}

NormOptions Norm::options(const Pass& pass) const {
  // The 1 is added in each pass and not when loading: what is trained, saved and merged is the
  // weight as the checkpoint has it.
  return {.eps = static_cast<float>(plan_.eps),
          .offset = plan_.plus_one ? 1.0F : 0.0F,
          .keep = pass.keep};
}

Tensor Norm::forward(const Tensor& x, const Pass& pass) const {
  return plan_.kind == NormKind::kRms ? rms_norm(x, weight_, options(pass))
                                      : layer_norm(x, weight_, bias_, options(pass));
}

Tensor Norm::forward_onto(const Tensor& residual, const Tensor& x, const Pass& pass) const {
  return plan_.kind == NormKind::kRms ? rms_norm_onto(residual, x, weight_, options(pass))
                                      : add(forward(x, pass), residual);
}

void Norm::visit(Visitor& visitor, const std::string& name) {
  visitor.parameter(dotted(name, "weight"), weight_);
  visitor.parameter(dotted(name, "bias"), bias_);
}

}  // namespace inlay
