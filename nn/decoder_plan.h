// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <variant>
#include <vector>

#include "nn/causal_lm.h"
#include "nn/experts.h"
#include "nn/layer_inputs.h"
#include "nn/mixers/self_attention.h"
#include "nn/mlp.h"
#include "nn/norm.h"
#include "nn/rotary.h"

/// A decoder as data: what a family's row makes of config.json, and DecoderModel a model of.
///
///   x = norm(embedding(ids) * multiplier (+ position table))
///   each layer:   x += multiplier * after(mixer(before(x)))
///                 x += multiplier * after(mlp(before(x)))
///                 x += after(its own input's part), and x *= scalar, where there are such
///   logits = softcap(head(norm(x)) * multiplier)
///
/// Every part has its name as checkpoints spell it. A factor of 1, and a norm without a name, cost
/// nothing: they are not there.
namespace inlay {

/// The kinds of sequence mixers there are, by their plans.
using MixerPlan = std::variant<SelfAttentionPlan>;

/// The norms around one of a layer's two parts, by their names in the layer; empty: none.
struct NormNames {
  std::string before;  // of what the part reads
  std::string after;   // of what it gives, before that is added to the residual stream
};

struct LayerPlan {
  std::string mixer_name = "self_attn";
  MixerPlan mixer;
  NormNames mixer_norms;
  std::string mlp_name = "mlp";
  MlpPlan mlp;                         // of width 0: none, the experts alone
  std::optional<ExpertsPlan> experts;  // their results are added to the mlp's
  std::string mlp_own_norm;            // of what the mlp gives, before that; empty: none
  NormNames mlp_norms;
  /// Both parts read the layer's input, and their results are added to it together (GPT-J,
  /// GPT-NeoX, Cohere). Where mlp_norms.before is empty, mixer_norms.before is for both.
  bool parallel = false;
  float residual_multiplier = 1.0F;  // of what each part adds
  /// A number [1], never trained, that multiplies what the layer gives, where the checkpoint has it.
  /// Empty: never.
  std::string scalar;
  /// Probability of dropout on what each part adds. A family that has the setting, be it 0, adds in
  /// an operation of its own, so that a run's first loss does not depend on the setting.
  std::optional<float> residual_dropout;
  bool mixer_dropout = true;  // false: only on what the MLP adds
};

/// One setting of RoPE.
struct RopePlan {
  RopeConfig config;
  /// A vector [rotary_dim / 2] of the checkpoint that divides the frequencies one by one, if the
  /// checkpoint has it. Empty: never.
  std::string divisors;
};

/// What the parts around the layers are called.
struct DecoderNames {
  std::string embedding = "model.embed_tokens";
  std::string positions = "";       // a table of learned positions; empty: none
  std::string embedding_norm = "";  // of what the layers begin with; empty: none
  std::string layers = "model.layers";
  std::string norm = "model.norm";
  std::string head = "lm_head";
};

struct DecoderPlan {
  ModelSizes sizes;
  DecoderNames names;
  double init_std = 0.02;  // of the embedding and the head, from scratch
  float embedding_multiplier = 1.0F;
  /// The multiplier is first rounded to the type of the embedding's table, as Gemma does it.
  bool rounds_embedding_multiplier = false;
  float embedding_dropout = 0.0F;  // of the sum of token and position
  std::vector<RopePlan> ropes;     // those that the attention plans' `rope` counts in
  std::vector<LayerPlan> layers;
  LayerInputsPlan layer_inputs;
  NormPlan norm;           // of every norm in the model
  bool tied_head = false;  // the embedding's table over again, where the file has no other
  float logits_multiplier = 1.0F;
  float logits_softcap = 0.0F;  // > 0: logits z become softcap * tanh(z / softcap)
};

}  // namespace inlay
