// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "nn/models/config_values.h"
#include "nn/models/families.h"
#include "nn/models/rope_config.h"
#include "nn/models/usual_parts.h"

/// GLM-4 (GLM-4-0414): norms on both sides of each part, gate and up in one product, half of each
/// head turned in pairs of neighbours.
namespace inlay {
namespace {

constexpr UsualSizes kGlm4 = {.vocab_size = 151552,
                              .hidden_size = 4096,
                              .intermediate_size = 13696,
                              .layers = 40,
                              .max_positions = 131072,
                              .heads = 32,
                              .kv_heads = 2,
                              .head_dim = 128};

DecoderPlan glm4_plan(const HfConfig& config) {
  DecoderPlan p = usual_plan(config, kGlm4, false);
  p.norm = {.kind = NormKind::kRms, .eps = norm_eps(config, "rms_norm_eps", 1.5625e-7)};
  SelfAttentionPlan attention = usual_attention(config, p, kGlm4);
  attention.qkv_bias = config.flag("attention_bias", true);
  p.ropes = {{parse_rope(config, {.head_dim = attention.head_dim,
                                  .max_positions = p.sizes.max_positions,
                                  .partial = 0.5,
                                  .order = RopePairs::kInterleaved}),
              kGgufRopeDivisors}};
  LayerPlan layer;
  layer.mixer = attention;
  layer.mixer_norms = {"input_layernorm", "post_self_attn_layernorm"};
  layer.mlp = usual_mlp(config, p, kGlm4, "silu");
  layer.mlp.first = "gate_up_proj";
  layer.mlp.up = "";
  layer.mlp.fused = true;
  // The name says after attention, and before the feed-forward block is meant.
  layer.mlp_norms = {"post_attention_layernorm", "post_mlp_layernorm"};
  p.layers.assign(p.sizes.layers, layer);
  return p;
}

void more_glm4_gguf(const GgufKeys& keys, nlohmann::json& c) {
  write_gguf_heads(keys, c);
  c["hidden_act"] = "silu";
  c["attention_bias"] = has_gguf_tensor(keys, "attn_q.bias");
  write_gguf_rope(keys, {.head_dim = c["head_dim"], .partial = true}, c);
}

}  // namespace

const Family& glm4_family() {
  static const Family row = {
      .article = "a GLM-4",
      .model_types = {"glm4"},
      .causal_class = "Glm4ForCausalLM",
      .bare_class = "Glm4Model",
      .base_prefix = "model.",
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor"},
      .plan = glm4_plan,
      .gguf = GgufFamily{.architecture = "glm4",
                         .settings = usual_gguf_settings("attention.layer_norm_rms_epsilon",
                                                         "rms_norm_eps"),
                         .more_settings = more_glm4_gguf,
                         .in_layer = {{"input_layernorm", "attn_norm"},
                                      {"self_attn.q_proj", "attn_q"},
                                      {"self_attn.k_proj", "attn_k"},
                                      {"self_attn.v_proj", "attn_v"},
                                      {"self_attn.o_proj", "attn_output"},
                                      {"post_self_attn_layernorm", "post_attention_norm"},
                                      {"post_attention_layernorm", "ffn_norm"},
                                      {"mlp.gate_up_proj", "ffn_up"},
                                      {"mlp.down_proj", "ffn_down"},
                                      {"post_mlp_layernorm", "post_ffw_norm"}},
                         .outside = usual_gguf_outside()},
  };
  return row;
}

}  // namespace inlay
