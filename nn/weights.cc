// SPDX-License-Identifier: Apache-2.0
#include "nn/weights.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace inlay {
namespace {

Tensor constant(i64 size, float value) {
  const MemoryScope scope(MemoryClass::kWeights);
  return Tensor::full({size}, value);
}

}  // namespace

Tensor RandomWeights::normal(const Shape& shape, const std::string& name, double stddev) const {
  const MemoryScope scope(MemoryClass::kWeights);
  const Tensor t = Tensor::empty(shape, dtype_);
  const RandomKey key = key_.with(name);
  if (dtype_ == DType::kF32) {
    on(t).fill_normal(t.out(), key, 0.0F, static_cast<float>(stddev), 0);
    return t;
  }
  INLAY_ASSERT(dtype_ == DType::kBf16);
  constexpr i64 kPiece = 1 << 20;  // values in f32 at a time: the matrix may be gigabytes
  for (i64 begin = 0; begin < t.numel(); begin += kPiece) {
    const i64 count = std::min(kPiece, t.numel() - begin);
    const Tensor piece = Tensor::empty({count});
    on(t).fill_normal(piece.out(), key, 0.0F, static_cast<float>(stddev), begin);
    on(t).f32_to_bf16(piece.in(), t.span<u16>().subspan(begin, count));
  }
  return t;
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

ExpertStackWeights RandomWeights::experts(const std::string& name, const ExpertStackSpec& spec) {
  ExpertStackWeights weights;
  const i64 parts = spec.stacked ? 1 : std::ssize(spec.parts);
  for (i64 p = 0; p < parts; ++p) {
    ExpertMatrices part = {.in = spec.in,
                           .out = spec.out / parts,
                           .layout = spec.in_out ? WeightLayout::kInOut : WeightLayout::kOutIn};
    const Shape shape = spec.in_out ? Shape{part.in, part.out} : Shape{part.out, part.in};
    std::vector<std::string> names;
    if (spec.stacked) {
      names.push_back(spec.stack_name());
      part.trained.push_back(
          normal({spec.experts, shape[0], shape[1]}, spec.path(name, names[0]), spec.init_std));
    }
    for (i64 e = 0; e < spec.experts && !spec.stacked; ++e) {
      names.push_back(spec.name_of(e, p));
      part.trained.push_back(normal(shape, spec.path(name, names.back()), spec.init_std));
    }
    if (dtype_ != DType::kF32) {
      part.freeze();
      names.clear();
    }
    if (spec.bias) {
      const MemoryScope scope(MemoryClass::kWeights);
      part.bias = Tensor::zeros({spec.experts, part.out});
      weights.bias_names.push_back(spec.bias_name());
    }
    weights.parts.push_back(std::move(part));
    weights.names.push_back(std::move(names));
  }
  weights.interleaved = spec.stacked && spec.interleaved;
  return weights;
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

std::unique_ptr<LinearLike> make_head(const std::string& name, bool tied,
                                      const std::string& table_name, const EmbeddingLike& table,
                                      double init_std, WeightSource& weights) {
  if (tied && !weights.has_own_head(name, table_name)) {
    return table.tied_head();
  }
  return weights.linear(
      name, {.in = table.width(), .out = table.rows(), .init_std = init_std, .head = true});
}

}  // namespace inlay
