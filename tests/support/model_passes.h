// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/autograd/graph.h"
#include "data/example.h"
#include "finetune/loaded_model.h"
#include "finetune/objectives/cross_entropy.h"
#include "nn/causal_lm.h"

/// What most tests of whole models do with one.
namespace inlay {

inline LoadedModel load_model_at(const std::string& path, bool trainable = false) {
  LoadOptions options;
  options.model.model_name_or_path = path;
  options.trainable = trainable;
  return load_model(options);
}

/// Logits of all tokens of the sequences, packed into one pass: [N, V].
inline Tensor logits_of(const CausalLM& model, const std::vector<std::vector<i32>>& sequences,
                        AttentionKind attention = AttentionKind::kTiled, bool adapters = true) {
  const NoGrad guard;
  PackedTokens tokens;
  for (const std::vector<i32>& ids : sequences) {
    tokens.append(ids);
  }
  Pass pass;
  pass.tokens = &tokens;
  pass.attention = attention;
  pass.adapters = adapters;
  return model.logits(model.hidden(pass), pass);
}

struct LossSettings {
  AttentionKind attention = AttentionKind::kTiled;
  Recompute recompute = Recompute::kNone;
  Keep keep = Keep::kExact;
  GemmCompute compute = GemmCompute::kF32;
  std::optional<i64> recompute_layers = {};
  RandomKey dropout{0};
};

/// The mean loss over all trained tokens, with its gradients accumulated in the leaves unless
/// recording is off.
inline double loss_and_gradients(const CausalLM& model, const std::vector<Example>& examples,
                                 const LossSettings& settings = {}) {
  std::vector<const Example*> rows;
  rows.reserve(examples.size());
  for (const Example& example : examples) {
    rows.push_back(&example);
  }
  const NextTokenBatch batch(rows);
  Pass pass;
  pass.tokens = &batch.tokens;
  pass.training = true;
  pass.dropout = settings.dropout;
  pass.attention = settings.attention;
  pass.compute = settings.compute;
  pass.keep = settings.keep;
  pass.recompute = settings.recompute;
  pass.recompute_layers = settings.recompute_layers;
  const Tensor loss = batch.loss(model, pass, static_cast<double>(batch.weight)).loss;
  if (grad_enabled()) {
    backward(loss);
  }
  return static_cast<double>(loss.item());
}

}  // namespace inlay
