// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "nn/weights.h"
#include "quant/checkpoint.h"
#include "quant/four_bit.h"

namespace inlay {

/// Frozen linear layers made 4-bit as they load.
struct QuantizeOnLoad {
  FourBitOptions format;
  /// But for those whose path begins or ends so; "lm_head" is the head, whatever it is called.
  std::vector<std::string> skip_modules;
};

struct CheckpointWeightsOptions {
  /// Weights that training changes: f32, in memory of their own. Otherwise they are frozen and stay
  /// as stored, mapped.
  bool trainable = false;
  /// Frozen dense and GGUF weights as this type instead of the stored one.
  std::optional<DType> dtype;
  /// Frozen linear layers (never embeddings, norms or a tied head) as 4-bit codes.
  std::optional<QuantizeOnLoad> four_bit;
};

/// Gives a model the weights of a checkpoint.
class CheckpointWeights final : public WeightSource {
 public:
  CheckpointWeights(Checkpoint& checkpoint, CheckpointWeightsOptions options);

  std::unique_ptr<LinearLike> linear(const std::string& name, const LinearSpec& spec) override;
  std::unique_ptr<EmbeddingLike> embedding(const std::string& name, i64 rows, i64 width,
                                           double init_std) override;
  ExpertStackWeights experts(const std::string& name, const ExpertStackSpec& spec) override;
  Tensor vector(const std::string& name, i64 size, float initial) override;
  Tensor optional_vector(const std::string& name, i64 size) override;
  bool has(const std::string& name) const override;
  bool has_own_head(const std::string& head, const std::string& table) const override;

 private:
  /// The matrices `stored` of a part, whose weights are called `names`, as the options want them.
  ExpertMatrices treated(const ExpertMatrices& stored, const std::string& name) const;

  Checkpoint& checkpoint_;
  CheckpointWeightsOptions options_;
};

/// Random weights made 4-bit at once, for trials without a checkpoint: wraps RandomWeights.
class QuantizedWeights final : public WeightSource {
 public:
  QuantizedWeights(WeightSource& inner, const QuantizeOnLoad& options)
      : inner_(inner), options_(options) {}

  std::unique_ptr<LinearLike> linear(const std::string& name, const LinearSpec& spec) override;
  std::unique_ptr<EmbeddingLike> embedding(const std::string& name, i64 rows, i64 width,
                                           double init_std) override {
    return inner_.embedding(name, rows, width, init_std);
  }
  ExpertStackWeights experts(const std::string& name, const ExpertStackSpec& spec) override;
  Tensor vector(const std::string& name, i64 size, float initial) override {
    return inner_.vector(name, size, initial);
  }
  Tensor optional_vector(const std::string& name, i64 size) override {
    return inner_.optional_vector(name, size);
  }
  bool has(const std::string& name) const override { return inner_.has(name); }
  bool has_own_head(const std::string& head, const std::string& table) const override {
    return inner_.has_own_head(head, table);
  }

 private:
  WeightSource& inner_;
  QuantizeOnLoad options_;
};

}  // namespace inlay
