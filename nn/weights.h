// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "core/random.h"
#include "nn/embedding.h"
#include "nn/expert_stack.h"
#include "nn/linear.h"

/// Where a model's weights come from: a checkpoint, or random numbers. A family asks for its parts
/// by their Hugging Face names and shapes; what storage they come in is the source's business.
namespace inlay {

struct LinearSpec {
  i64 in = 0;
  i64 out = 0;
  bool bias = false;
  WeightLayout layout = WeightLayout::kOutIn;
  double init_std = 0.02;  // from scratch: N(0, init_std^2), bias 0
  /// > 0: the output is turned by RoPE in heads of this size. (GGUF orders those rows otherwise.)
  i64 rope_head_dim = 0;
  bool dense = false;  // small and delicate: never made 4-bit as it loads
  bool head = false;   // the model's output head, whatever it is called
};

class WeightSource {
 public:
  virtual ~WeightSource() = default;
  /// A linear layer `name` (its weight is `name`.weight). Throws DataError when it is missing or of
  /// another shape.
  virtual std::unique_ptr<LinearLike> linear(const std::string& name, const LinearSpec& spec) = 0;
  virtual std::unique_ptr<EmbeddingLike> embedding(const std::string& name, i64 rows, i64 width,
                                                   double init_std) = 0;
  /// The matrices of one projection of all experts, whose module is `name`.
  virtual ExpertStackWeights experts(const std::string& name, const ExpertStackSpec& spec) = 0;
  /// A whole parameter [size] as f32, such as "model.norm.weight"; `initial` is its value from
  /// scratch.
  virtual Tensor vector(const std::string& name, i64 size, float initial) = 0;
  /// The same when the source has it, else undefined; for parts only some files carry.
  virtual Tensor optional_vector(const std::string& name, i64 size) = 0;
  /// True when the source holds `name`.weight.
  virtual bool has(const std::string& name) const = 0;
  /// True when the source holds `head`.weight, and it is not the matrix `table`.weight over again.
  virtual bool has_own_head(const std::string& head, const std::string& table) const = 0;
};

/// The output head `name` of a model: the embedding's table where `tied`, unless the source has a
/// head of its own all the same, as files have whose head was trained and whose config was not
/// changed.
std::unique_ptr<LinearLike> make_head(const std::string& name, bool tied,
                                      const std::string& table_name, const EmbeddingLike& table,
                                      double init_std, WeightSource& weights);

/// Fresh f32 weights: normal with each part's init_std, drawn from `key` by the part's name, so a
/// layer's start does not depend on what else the model has.
/// Matrices are stored as `dtype`: bf16 for weights that will not be trained.
class RandomWeights final : public WeightSource {
 public:
  explicit RandomWeights(RandomKey key, DType dtype = DType::kF32) : key_(key), dtype_(dtype) {}
  std::unique_ptr<LinearLike> linear(const std::string& name, const LinearSpec& spec) override;
  std::unique_ptr<EmbeddingLike> embedding(const std::string& name, i64 rows, i64 width,
                                           double init_std) override;
  ExpertStackWeights experts(const std::string& name, const ExpertStackSpec& spec) override;
  Tensor vector(const std::string& name, i64 size, float initial) override;
  Tensor optional_vector(const std::string& name, i64 size) override;
  bool has(const std::string& name) const override;
  bool has_own_head(const std::string& /*head*/, const std::string& /*table*/) const override {
    return false;
  }

 private:
  Tensor normal(const Shape& shape, const std::string& name, double stddev) const;

  RandomKey key_;
  DType dtype_;
};

}  // namespace inlay
