// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/lora.h"

#include <algorithm>
#include <cmath>
#include <utility>

#include "core/ops/elementwise.h"
#include "core/ops/shape.h"

namespace inlay {
namespace {

Tensor trainable(const Shape& shape) {
  const MemoryScope scope(MemoryClass::kAdapters);
  Tensor t = Tensor::zeros(shape);
  t.set_requires_grad(true);
  return t;
}

void fill_kaiming(const Tensor& t, RandomKey key) {
  // Kaiming-uniform with a = sqrt(5): the bound is 1 / sqrt(fan in), the last axis.
  const float bound = 1.0F / std::sqrt(static_cast<float>(t.dim(-1)));
  on(t).fill_uniform(t.out(), key, -bound, bound);
}

void start_factors(const LoraSpec& spec, RandomKey key, const Tensor& a, const Tensor& b) {
  if (spec.init == LoraInit::kGaussian) {
    on(a).fill_normal(a.out(), key.with("lora_A"), 0.0F, 1.0F / static_cast<float>(spec.rank), 0);
  } else {
    fill_kaiming(a, key.with("lora_A"));
  }
  if (spec.init == LoraInit::kRandom) {
    fill_kaiming(b, key.with("lora_B"));
  }
}

// |row|^2 of every row of the layer's weight, decoded a few rows at a time.
std::vector<double> squared_row_norms(const LinearLike& layer) {
  constexpr i64 kRows = 256;
  std::vector<double> out;
  for (i64 begin = 0; begin < layer.out_features(); begin += kRows) {
    const Tensor rows = layer.weight_rows(begin, std::min(layer.out_features(), begin + kRows));
    const i64 width = rows.dim(1);
    for (i64 r = 0; r < rows.dim(0); ++r) {
      double sum = 0.0;
      for (const float w : rows.values().subspan(r * width, width)) {
        sum += static_cast<double>(w) * static_cast<double>(w);
      }
      out.push_back(sum);
    }
  }
  return out;
}

}  // namespace

LoraLinear::LoraLinear(std::string name, std::unique_ptr<LinearLike> base, const LoraSpec& spec,
                       RandomKey key)
    : name_(std::move(name)),
      base_(std::move(base)),
      spec_(spec),
      lora_a_(trainable({spec.rank, base_->in_features()})),
      lora_b_(trainable({base_->out_features(), spec.rank})) {
  start_factors(spec_, key.with(name_), lora_a_, lora_b_);
  if (spec_.dora) {
    base_squares_ = squared_row_norms(*base_);
    magnitude_ = trainable({out_features()});
    // m starts at |V_o|, so that the start is V itself.
    const Tensor inverse = inverse_row_norms(Pass());
    std::ranges::transform(inverse.values(), magnitude_.mutable_values().begin(),
                           [](float v) { return 1.0F / v; });
  }
}

// 1 / |V_o| without forming V:  |V_o|^2 = |W_o|^2 + 2 s (W A^T)_o . B_o + s^2 B_o (A A^T) B_o^T
Tensor LoraLinear::inverse_row_norms(const Pass& pass) const {
  const NoGrad guard;
  const i64 rank = spec_.rank;
  const i64 out = out_features();
  Pass exact = pass;
  exact.compute = GemmCompute::kF32;
  const Tensor across = base_->product(lora_a_, exact);  // [rank, out] = A W^T
  const Tensor gram = linear(lora_a_, lora_a_);          // [rank, rank] = A A^T
  const Tensor bent = matmul(lora_b_, gram);             // [out, rank]
  const float* cross = across.data<const float>();
  const float* b = lora_b_.data<const float>();
  const float* g = bent.data<const float>();
  Tensor inverse = Tensor::empty({out});
  for (i64 o = 0; o < out; ++o) {
    double mixed = 0.0;
    double square = 0.0;
    for (i64 r = 0; r < rank; ++r) {
      mixed += static_cast<double>(cross[r * out + o]) * static_cast<double>(b[o * rank + r]);
      square += static_cast<double>(g[o * rank + r]) * static_cast<double>(b[o * rank + r]);
    }
    const double norm2 =
        base_squares_[o] + 2.0 * spec_.scale * mixed + spec_.scale * spec_.scale * square;
    inverse.data<float>()[o] = static_cast<float>(1.0 / std::sqrt(norm2));
  }
  return inverse;
}

std::optional<Projection> LoraLinear::projection(const Pass& pass) const {
  std::optional<Projection> whole = base_->projection(pass);
  if (!pass.adapters) {
    return whole;
  }
  if (!whole || whole->output_scale.defined()) {
    return std::nullopt;
  }
  LowRankUpdate update = {lora_a_, lora_b_, static_cast<float>(spec_.scale)};
  if (pass.training && spec_.dropout > 0.0F) {
    update.dropout = spec_.dropout;
    update.dropout_key = pass.dropout.with(name_);
  }
  whole->updates.push_back(std::move(update));
  if (spec_.dora) {
    whole->output_scale = mul(magnitude_, inverse_row_norms(pass));
  }
  return whole;
}

// What the layer adds to one that is no projection: an adapter over another's DoRA.
Tensor LoraLinear::update(const Tensor& x, const Pass& pass) const {
  const bool drops = pass.training && spec_.dropout > 0.0F;
  const Tensor d = drops ? dropout(x, spec_.dropout, pass.dropout.with(name_)) : x;
  const GemmCompute compute = unquantised(pass.compute);
  const Tensor inner = linear(d, lora_a_, {}, WeightLayout::kOutIn, compute);
  return scale(linear(inner, lora_b_, {}, WeightLayout::kOutIn, compute),
               static_cast<float>(spec_.scale));
}

Tensor LoraLinear::product(const Tensor& x, const Pass& pass) const {
  if (!pass.adapters) {
    return base_->product(x, pass);
  }
  if (std::optional<Projection> whole = projection(pass)) {
    whole->bias = Tensor();
    return project(x, {&*whole, 1}, pass.compute)[0];
  }
  const Tensor sum = add(update(x, pass), base_->product(x, pass));
  return spec_.dora ? scale_columns(sum, mul(magnitude_, inverse_row_norms(pass))) : sum;
}

Tensor LoraLinear::forward(const Tensor& x, const Pass& pass) const {
  if (!pass.adapters) {
    return base_->forward(x, pass);
  }
  if (const std::optional<Projection> whole = projection(pass)) {
    return project(x, {&*whole, 1}, pass.compute)[0];
  }
  Tensor y = product(x, pass);
  return bias().defined() ? add_row(std::move(y), bias()) : y;
}

Tensor LoraLinear::weight_rows(i64 begin, i64 end) const {
  const NoGrad guard;
  const Tensor update = scale(matmul(lora_b_.slice(0, begin, end).contiguous(), lora_a_),
                              static_cast<float>(spec_.scale));
  Tensor rows = add(base_->weight_rows(begin, end), update);
  if (spec_.dora) {
    const Tensor gain = mul(magnitude_, inverse_row_norms(Pass()));
    const i64 width = rows.dim(1);
    for (i64 r = 0; r < rows.dim(0); ++r) {
      for (float& w : rows.mutable_values().subspan(r * width, width)) {
        w *= gain.data<const float>()[begin + r];
      }
    }
  }
  return rows;
}

void LoraLinear::visit(Visitor& visitor, const std::string& name) {
  base_->visit(visitor, name);
  visitor.parameter(dotted(name, "lora_A.weight"), lora_a_);
  visitor.parameter(dotted(name, "lora_B.weight"), lora_b_);
  visitor.parameter(dotted(name, "lora_magnitude_vector"), magnitude_);
}

LoraEmbedding::LoraEmbedding(const std::string& name, std::unique_ptr<EmbeddingLike> base,
                             const LoraSpec& spec, RandomKey key)
    : base_(std::move(base)),
      spec_(spec),
      lora_a_(trainable({spec.rank, base_->rows()})),
      lora_b_(trainable({base_->width(), spec.rank})) {
  const RandomKey own = key.with(name);
  on(lora_b_).fill_normal(lora_b_.out(), own.with("lora_embedding_B"), 0.0F, 1.0F, 0);
  if (spec_.init == LoraInit::kRandom) {
    on(lora_a_).fill_normal(lora_a_.out(), own.with("lora_embedding_A"), 0.0F, 1.0F, 0);
  }
}

Tensor LoraEmbedding::forward(std::span<const i32> ids, const Pass& pass) const {
  if (!pass.adapters) {
    return base_->forward(ids, pass);
  }
  const Tensor update = linear(gather_columns(lora_a_, ids), lora_b_);
  return add(scale(update, static_cast<float>(spec_.scale)), base_->forward(ids, pass));
}

Tensor LoraEmbedding::weight_rows(i64 begin, i64 end) const {
  const NoGrad guard;
  std::vector<i32> ids;
  for (i64 id = begin; id < end; ++id) {
    ids.push_back(static_cast<i32>(id));
  }
  const Tensor update = linear(gather_columns(lora_a_, ids), lora_b_);
  return add(scale(update, static_cast<float>(spec_.scale)), base_->weight_rows(begin, end));
}

void LoraEmbedding::visit(Visitor& visitor, const std::string& name) {
  base_->visit(visitor, name);
  visitor.parameter(dotted(name, "lora_embedding_A"), lora_a_);
  visitor.parameter(dotted(name, "lora_embedding_B"), lora_b_);
}

}  // namespace inlay
