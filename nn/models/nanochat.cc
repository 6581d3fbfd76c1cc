// SPDX-License-Identifier: Apache-2.0
#include "nn/models/config_values.h"
#include "nn/models/families.h"
#include "nn/models/rope_config.h"
#include "nn/models/usual_parts.h"

/// nanochat (Karpathy 2025): no norm has a weight, one stands behind the embedding and others
/// behind RoPE, which turns the other way; squared ReLU without a gate, a cap on the logits.
namespace inlay {
namespace {

constexpr UsualSizes kNanochat = {.vocab_size = 50304,
                                  .hidden_size = 768,
                                  .intermediate_size = 8192,
                                  .layers = 12,
                                  .max_positions = 2048,
                                  .heads = 6};

DecoderPlan nanochat_plan(const HfConfig& config) {
  DecoderPlan p = usual_plan(config, kNanochat, false);
  p.norm = {.kind = NormKind::kRms, .eps = norm_eps(config, "rms_norm_eps", 1e-6), .weight = false};
  p.logits_softcap = softcap_of(config, "final_logit_softcapping", 15.0);
  SelfAttentionPlan attention = usual_attention(config, p, kNanochat);
  attention.qkv_bias = attention.o_bias = config.flag("attention_bias", false);
  attention.qk_norm =
      HeadNormPlan{.weights = HeadNormPlan::kNone, .after_rope = true, .eps = p.norm.eps};
  p.ropes = {{parse_rope(config, {.head_dim = attention.head_dim,
                                  .max_positions = p.sizes.max_positions,
                                  .backwards = true}),
              ""}};
  LayerPlan layer;
  layer.mixer = attention;
  layer.mixer_norms.before = "input_layernorm";
  layer.mlp = usual_mlp(config, p, kNanochat, "relu2");
  ungate(layer.mlp, "fc1", "fc2");
  layer.mlp_norms.before = "post_attention_layernorm";
  p.layers.assign(p.sizes.layers, layer);
  return p;
}

}  // namespace

const Family& nanochat_family() {
  static const Family row = {
      .article = "a nanochat",
      .model_types = {"nanochat"},
      .causal_class = "NanoChatForCausalLM",
      .bare_class = "NanoChatModel",
      .base_prefix = "model.",
      .names = {.embedding_norm = "model.norm"},
      .layers_key = "num_hidden_layers",
      .own_settings = {"final_logit_softcapping"},
      .plan = nanochat_plan,
  };
  return row;
}

}  // namespace inlay
