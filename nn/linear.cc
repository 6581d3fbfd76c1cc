// SPDX-License-Identifier: Apache-2.0
#include "nn/linear.h"

#include <utility>

namespace inlay {

Linear::Linear(Tensor weight, Tensor bias, WeightLayout layout)
    : weight_(std::move(weight)), bias_(std::move(bias)), layout_(layout) {}

Tensor Linear::forward(const Tensor& x, const Pass& /*pass*/) const {
  return linear(x, weight_, bias_, layout_);
}

Tensor Linear::product(const Tensor& x, const Pass& /*pass*/) const {
  return linear(x, weight_, {}, layout_);
}

Tensor Linear::weight_rows(i64 begin, i64 end) const {
  if (layout_ == WeightLayout::kOutIn) {
    return weight_.slice(0, begin, end).to(DType::kF32).contiguous();
  }
  return weight_.slice(1, begin, end).contiguous().to(DType::kF32).transpose(0, 1).contiguous();
}

void Linear::visit(Visitor& visitor, const std::string& name) {
  visitor.parameter(dotted(name, "weight"), weight_);
  visitor.parameter(dotted(name, "bias"), bias_);
}

FrozenLinear::FrozenLinear(FrozenMatrix weight, Tensor bias, WeightLayout checkpoint_layout)
    : weight_(std::move(weight)), bias_(std::move(bias)), checkpoint_layout_(checkpoint_layout) {}

Tensor FrozenLinear::forward(const Tensor& x, const Pass& /*pass*/) const {
  return linear(x, weight_, bias_);
}

Tensor FrozenLinear::product(const Tensor& x, const Pass& /*pass*/) const {
  return linear(x, weight_, Tensor());
}

void FrozenLinear::visit(Visitor& visitor, const std::string& name) {
  visitor.parameter(dotted(name, "bias"), bias_);
}

}  // namespace inlay
