// SPDX-License-Identifier: Apache-2.0
#include "nn/embedding.h"

#include "core/tensor/dense_format.h"

namespace inlay {

float rounded_to(DType dtype, float value) {
  return Tensor::full({1}, value).to(dtype).to(DType::kF32).to_vector()[0];
}

Tensor Embedding::forward(const Indices& ids, const Pass& /*pass*/) const {
  return embedding(weight_, ids);
}

Tensor Embedding::weight_rows(i64 begin, i64 end) const {
  return weight_.slice(0, begin, end).to(DType::kF32).contiguous();
}

std::unique_ptr<LinearLike> Embedding::tied_head() const {
  return std::make_unique<TiedHead>(std::make_unique<Linear>(weight_, Tensor()));
}

void Embedding::visit(Visitor& visitor, const std::string& name) {
  visitor.parameter(dotted(name, "weight"), weight_);
}

Tensor FrozenEmbedding::forward(const Indices& ids, const Pass& /*pass*/) const {
  return embedding(weight_, ids);
}

DType FrozenEmbedding::dtype() const {
  return dense_dtype(weight_.format()).value_or(DType::kF32);
}

std::unique_ptr<LinearLike> FrozenEmbedding::tied_head() const {
  return std::make_unique<TiedHead>(std::make_unique<FrozenLinear>(weight_, Tensor()));
}

void FrozenEmbedding::visit(Visitor& /*visitor*/, const std::string& /*name*/) {}

}  // namespace inlay
