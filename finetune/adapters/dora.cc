// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/dora.h"

#include <algorithm>
#include <numeric>

#include "core/autograd/graph.h"
#include "core/ops/elementwise.h"
#include "core/ops/lengths.h"

namespace inlay {
namespace {

// Weights are decoded a few rows at a time.
constexpr i64 kRowsAtOnce = 256;

Tensor squared_row_norms(const LinearLike& layer) {
  Tensor squares = Tensor::empty({layer.out_features()}, DType::kF64);
  for (i64 begin = 0; begin < layer.out_features(); begin += kRowsAtOnce) {
    const i64 end = std::min(layer.out_features(), begin + kRowsAtOnce);
    row_squares(layer.weight_rows(begin, end), squares.slice(0, begin, end));
  }
  return squares;
}

}  // namespace

AdapterMethod dora_method() {
  AdapterMethod method = lora_method();
  method.name = "DoRA";
  method.switch_key = "use_dora";
  method.switched_on = [](const PeftConfig& config) { return config.use_dora; };
  method.linear = [](const UpdateSite& site, const LinearLike& base) {
    return std::unique_ptr<LayerUpdate>(std::make_unique<DoraUpdate>(site, base));
  };
  method.embedding = [](const UpdateSite& site, const EmbeddingLike& base) {
    return std::unique_ptr<TableUpdate>(std::make_unique<DoraTableUpdate>(site, base));
  };
  // Each pass would need the lengths of a table's columns, all of its rows.
  method.trains_embeddings = false;
  method.linear_tensors.emplace_back("lora_magnitude_vector");
  method.embedding_tensors.emplace_back("lora_magnitude_vector");
  return method;
}

DoraUpdate::DoraUpdate(const UpdateSite& site, const LinearLike& base)
    : LoraUpdate(site, base),
      base_squares_(squared_row_norms(base)),
      magnitude_(trainable_zeros({base.out_features()})) {
  // m starts at |V_o|, so that the start is V itself.
  magnitude_.copy_from(reciprocal(inverse_norms(base, Pass())));
}

Tensor DoraUpdate::inverse_norms(const LinearLike& base, const Pass& pass) const {
  const NoGrad guard;
  Pass f32 = pass;
  f32.compute = GemmCompute::kF32;
  const Tensor across = base.product(lora_a(), f32);  // [rank, out] = A W^T
  return inverse_row_norms(base_squares_, across, lora_a(), lora_b(), scale());
}

Tensor DoraUpdate::gain(const LinearLike& base, const Pass& pass) const {
  return mul(magnitude_, inverse_norms(base, pass));
}

void DoraUpdate::add_to(Projection& layer, const LinearLike& base, const Pass& pass) const {
  LoraUpdate::add_to(layer, base, pass);
  layer.output_scale = gain(base, pass);
}

Tensor DoraUpdate::merged_rows(const Tensor& rows, i64 begin, const LinearLike& base) const {
  const Tensor factors = gain(base, Pass()).slice(0, begin, begin + rows.dim(0)).contiguous();
  return scale_rows(LoraUpdate::merged_rows(rows, begin, base), factors);
}

std::vector<NamedTensor> DoraUpdate::tensors() const {
  std::vector<NamedTensor> tensors = LoraUpdate::tensors();
  tensors.push_back({"lora_magnitude_vector", magnitude_});
  return tensors;
}

DoraTableUpdate::DoraTableUpdate(const UpdateSite& site, const EmbeddingLike& base)
    : LoraTableUpdate(site, base), magnitude_(trainable_zeros({base.width()})) {}

Tensor DoraTableUpdate::apply(const Tensor& rows, const Indices& ids, Keep keep) const {
  return scale_columns(LoraTableUpdate::apply(rows, ids, keep), gain_, keep);
}

std::vector<NamedTensor> DoraTableUpdate::tensors() const {
  std::vector<NamedTensor> tensors = LoraTableUpdate::tensors();
  tensors.push_back({"lora_magnitude_vector", magnitude_});
  return tensors;
}

void DoraTableUpdate::settle(const EmbeddingLike& base) {
  const NoGrad guard;
  const Tensor squares = Tensor::zeros({base.width()}, DType::kF64);
  for (i64 begin = 0; begin < base.rows(); begin += kRowsAtOnce) {
    const i64 end = std::min(base.rows(), begin + kRowsAtOnce);
    std::vector<i32> ids(static_cast<std::size_t>(end - begin));
    std::iota(ids.begin(), ids.end(), static_cast<i32>(begin));
    add_column_squares(LoraTableUpdate::apply(base.weight_rows(begin, end), ids, Keep::kExact),
                       squares);
  }
  gain_ = over_lengths(magnitude_, squares);
}

}  // namespace inlay
