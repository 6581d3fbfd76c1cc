// SPDX-License-Identifier: Apache-2.0
#include "nn/weights.h"

#include <utility>

namespace inlay {
namespace {

Tensor constant(i64 size, float value) {
  const MemoryScope scope(MemoryClass::kWeights);
  return Tensor::full({size}, value);
}

}  // namespace

Tensor RandomWeights::normal(const Shape& shape, const std::string& name, double stddev) const {
  const MemoryScope scope(MemoryClass::kWeights);
  const Tensor t = Tensor::empty(shape);
  fill_normal(t.mutable_values(), key_.with(name), 0.0F, static_cast<float>(stddev));
  return t.to(dtype_);
}

std::unique_ptr<LinearLike> RandomWeights::linear(const std::string& name, const LinearSpec& spec) {
  const bool out_in = spec.layout == WeightLayout::kOutIn;
  const Shape shape = out_in ? Shape{spec.out, spec.in} : Shape{spec.in, spec.out};
  return std::make_unique<Linear>(normal(shape, name, spec.init_std),
                                  spec.bias ? constant(spec.out, 0.0F) : Tensor(), spec.layout);
}

std::unique_ptr<EmbeddingLike> RandomWeights::embedding(const std::string& name, i64 rows,
                                                        i64 width, double init_std) {
  return std::make_unique<Embedding>(normal({rows, width}, name, init_std));
}

Tensor RandomWeights::vector(const std::string& /*name*/, i64 size, float initial) {
  return constant(size, initial);
}

Tensor RandomWeights::optional_vector(const std::string& /*name*/, i64 /*size*/) {
  return {};
}

bool RandomWeights::has(const std::string& /*name*/) const {
  return false;
}

}  // namespace inlay
