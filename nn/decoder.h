// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nn/causal_lm.h"
#include "nn/decoder_plan.h"
#include "nn/embedding.h"

namespace inlay {

/// One layer of a decoder: [N, C] -> [N, C].
class DecoderLayer final : public Module {
 public:
  using Rotaries = std::span<const std::shared_ptr<const RotaryEmbedding>>;

  /// Layer `index` of a model, its weights below the path `name`.
  DecoderLayer(const DecoderPlan& model, i64 index, const std::string& name, Rotaries rotaries,
               WeightSource& weights);

  /// `input`: the layer's own, where it has one.
  Tensor forward(Tensor x, const Tensor& input, const Pass& pass) const;
  void visit(Visitor& visitor, const std::string& name) override;
  const SequenceMixer& mixer() const { return *mixer_; }
  const LayerPlan& plan() const { return plan_; }

 private:
  /// One of the two parts that add to the residual stream.
  struct Branch {
    std::optional<Norm> before, after;
    const char* dropout_name = "";  // its mask is drawn by this
    std::optional<float> dropout;   // LayerPlan::residual_dropout
  };

  /// x + finished(part(before(x))); part(residual, x) as SequenceMixer::forward.
  template <class Part>
  Tensor add_branch(const Branch& branch, const Part& part, const Tensor& x,
                    const Pass& pass) const;
  Tensor forward_sequential(Tensor x, const Pass& pass) const;
  Tensor forward_parallel(const Tensor& x, const Pass& pass) const;
  /// x + what is left to be done to y, which a part gave.
  Tensor add_to(const Tensor& x, const Branch& branch, Tensor y, const Pass& pass) const;
  /// The feed-forward part, the experts' or the mlp's or both, onto `residual` if that is defined;
  /// x is `whole` after the norm before it.
  Tensor fed(const Tensor& residual, const Tensor& x, const Tensor& whole, const Pass& pass) const;

  LayerPlan plan_;
  i64 index_;
  Branch mixing_;
  std::unique_ptr<SequenceMixer> mixer_;
  Branch feeding_;
  std::optional<Mlp> mlp_;
  std::optional<Norm> mlp_own_norm_;
  std::unique_ptr<Experts> experts_;  // null where the layer has none
  std::optional<LayerInputGate> input_gate_;
  Tensor scalar_;        // [1], or undefined
  float factor_ = 1.0F;  // its value
};

/// The model of a plan.
class DecoderModel final : public CausalLM {
 public:
  /// Of the given family, with weights of the source. Throws what the source throws.
  DecoderModel(std::string family, const DecoderPlan& plan, WeightSource& weights);

  Tensor hidden(const Pass& pass, std::optional<std::span<const i32>> rows = {}) const override;
  Tensor logits(const Tensor& h, const Pass& pass) const override;
  DType logit_gradient(const Pass& pass) const override;
  SequenceCache make_cache(i64 slots, i64 capacity) const override;
  double mixing_work(i64 T) const override;
  const ModelSizes& sizes() const override { return plan_.sizes; }
  const std::string& family() const override { return family_; }
  const std::string& head_name() const override { return plan_.names.head; }
  void visit(Visitor& visitor, const std::string& name) override;

 private:
  Tensor embed(const Pass& pass) const;
  /// Keys and values that layers have lent to later ones, by the number of the layer.
  using Lent = std::map<i64, SharedHeads>;
  Tensor run_layer(std::size_t i, Tensor x, const Tensor& input, Lent& lent,
                   const Pass& pass) const;

  std::string family_;
  DecoderPlan plan_;
  std::unique_ptr<EmbeddingLike> embedding_, positions_;  // positions_ is null without a table
  std::optional<Norm> embedding_norm_;
  Norm norm_;
  std::vector<std::unique_ptr<DecoderLayer>> layers_;
  std::optional<LayerInputs> layer_inputs_;
  std::unique_ptr<LinearLike> head_;
};

}  // namespace inlay
