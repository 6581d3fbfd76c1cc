// SPDX-License-Identifier: Apache-2.0
#include "quant/checkpoint_weights.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/tensor/dense_format.h"
#include "quant/stored_weight.h"

namespace inlay {
namespace {

bool is_dense(const FrozenMatrix& m) {
  return dense_dtype(m.format()).has_value();
}

}  // namespace

CheckpointWeights::CheckpointWeights(Checkpoint& checkpoint, CheckpointWeightsOptions options)
    : checkpoint_(checkpoint), options_(std::move(options)) {}

std::unique_ptr<LinearLike> CheckpointWeights::linear(const std::string& name,
                                                      const LinearSpec& spec) {
  StoredWeight stored =
      checkpoint_.matrix(name, spec.out, spec.in, spec.layout, spec.rope_head_dim);
  Tensor bias =
      spec.bias ? checkpoint_.vector(name + ".bias", spec.out, spec.rope_head_dim) : Tensor();
  const bool stored_out_in = stored.layout == WeightLayout::kOutIn;
  if (options_.trainable) {
    Tensor weight = decoded_weight(stored.matrix, DType::kF32);
    if (stored.layout != spec.layout) {
      weight = transposed_weight(weight);
    }
    return std::make_unique<Linear>(std::move(weight), std::move(bias), spec.layout);
  }
  const bool quantize = options_.four_bit && !spec.dense &&
                        !is_skipped(name, spec, options_.four_bit->skip_modules) &&
                        stored.matrix.format() != kernels::MatrixFormat::kFourBit;
  if (quantize) {
    const FrozenMatrix source =
        stored_out_in ? stored.matrix
                      : FrozenMatrix(transposed_weight(decoded_weight(stored.matrix, DType::kF32)));
    return std::make_unique<FrozenLinear>(
        quantize_four_bit(source.ref(), options_.four_bit->format).frozen(), std::move(bias),
        spec.layout);
  }
  const FrozenMatrix matrix = stays_stored(stored.matrix, options_.dtype)
                                  ? stored.matrix
                                  : FrozenMatrix(decoded_weight(stored.matrix, *options_.dtype));
  if (stored_out_in) {
    return std::make_unique<FrozenLinear>(matrix, std::move(bias), spec.layout);
  }
  INLAY_ASSERT(is_dense(matrix));
  return std::make_unique<Linear>(matrix.dense(), std::move(bias), WeightLayout::kInOut);
}

std::unique_ptr<EmbeddingLike> CheckpointWeights::embedding(const std::string& name, i64 rows,
                                                            i64 width, double /*init_std*/) {
  const StoredWeight stored = checkpoint_.matrix(name, rows, width, WeightLayout::kOutIn, 0);
  if (options_.trainable) {
    return std::make_unique<Embedding>(decoded_weight(stored.matrix, DType::kF32));
  }
  return std::make_unique<FrozenEmbedding>(
      stays_stored(stored.matrix, options_.dtype)
          ? stored.matrix
          : FrozenMatrix(decoded_weight(stored.matrix, *options_.dtype)));
}

Tensor CheckpointWeights::vector(const std::string& name, i64 size, float /*initial*/) {
  return checkpoint_.vector(name, size, 0);
}

Tensor CheckpointWeights::optional_vector(const std::string& name, i64 size) {
  return checkpoint_.has(name) ? checkpoint_.vector(name, size, 0) : Tensor();
}

bool CheckpointWeights::has(const std::string& name) const {
  return checkpoint_.has(name + ".weight");
}

bool CheckpointWeights::has_own_head(const std::string& head, const std::string& table) const {
  return has(head) && !checkpoint_.same_values(head + ".weight", table + ".weight");
}

std::unique_ptr<LinearLike> QuantizedWeights::linear(const std::string& name,
                                                     const LinearSpec& spec) {
  std::unique_ptr<LinearLike> dense = inner_.linear(name, spec);
  if (spec.dense || is_skipped(name, spec, options_.skip_modules)) {
    return dense;
  }
  // As it lies, where it is [out, in]: a copy in f32 may be much larger.
  const auto* linear = dynamic_cast<const Linear*>(dense.get());
  const bool lies = linear != nullptr && dense->checkpoint_layout() == WeightLayout::kOutIn;
  const FrozenMatrix rows(lies ? linear->weight() : dense->weight_rows(0, dense->out_features()));
  return std::make_unique<FrozenLinear>(quantize_four_bit(rows.ref(), options_.format).frozen(),
                                        dense->bias(), spec.layout);
}

}  // namespace inlay
