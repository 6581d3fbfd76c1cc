// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "nn/models/config_values.h"
#include "nn/models/families.h"
#include "nn/models/rope_config.h"
#include "nn/models/usual_parts.h"

/// StarCoder 2 (Lozhkov et al. 2024, arXiv:2402.19173): LayerNorms and products with bias, no gate,
/// a window on all layers where there is one.
namespace inlay {
namespace {

constexpr UsualSizes kStarcoder2 = {.vocab_size = 49152,
                                    .hidden_size = 3072,
                                    .intermediate_size = 12288,
                                    .layers = 30,
                                    .max_positions = 4096,
                                    .heads = 24,
                                    .kv_heads = 2,
                                    .init_std = 0.018042};

DecoderPlan starcoder2_plan(const HfConfig& config) {
  DecoderPlan p = usual_plan(config, kStarcoder2, true);
  p.norm = {.kind = NormKind::kLayer, .eps = norm_eps(config, "norm_epsilon", 1e-5)};
  p.embedding_dropout = probability(config, "embedding_dropout", 0.0);
  SelfAttentionPlan attention = usual_attention(config, p, kStarcoder2);
  attention.window = window_of(config, 0);
  const bool bias = config.flag("use_bias", true);
  attention.qkv_bias = attention.o_bias = bias;
  p.ropes = {
      {parse_rope(config, {.head_dim = attention.head_dim, .max_positions = p.sizes.max_positions}),
       kGgufRopeDivisors}};
  LayerPlan layer;
  layer.mixer = attention;
  layer.mixer_norms.before = "input_layernorm";
  layer.mlp = usual_mlp(config, p, kStarcoder2, "gelu_pytorch_tanh");
  ungate(layer.mlp, "c_fc", "c_proj");
  layer.mlp.bias = bias;
  layer.mlp_norms.before = "post_attention_layernorm";
  layer.residual_dropout = dropout_if_any(config, "residual_dropout");
  p.layers.assign(p.sizes.layers, layer);
  return p;
}

void more_starcoder2_gguf(const GgufKeys& keys, nlohmann::json& c) {
  write_gguf_heads(keys, c);
  c["hidden_act"] = "gelu_pytorch_tanh";
  c["use_bias"] = has_gguf_tensor(keys, "attn_q.bias");
  if (keys.has("attention.sliding_window")) {
    c["sliding_window"] = keys.integer("attention.sliding_window");
  }
  write_gguf_rope(keys, {.head_dim = c["head_dim"]}, c);
}

}  // namespace

const Family& starcoder2_family() {
  static const Family row = {
      .article = "a StarCoder 2",
      .model_types = {"starcoder2"},
      .causal_class = "Starcoder2ForCausalLM",
      .bare_class = "Starcoder2Model",
      .base_prefix = "model.",
      .tied_by_default = true,
      .layers_key = "num_hidden_layers",
      .own_settings = {"sliding_window"},
      .plan = starcoder2_plan,
      .gguf = GgufFamily{.architecture = "starcoder2",
                         .settings =
                             usual_gguf_settings("attention.layer_norm_epsilon", "norm_epsilon"),
                         .more_settings = more_starcoder2_gguf,
                         .in_layer = {{"input_layernorm", "attn_norm"},
                                      {"self_attn.q_proj", "attn_q"},
                                      {"self_attn.k_proj", "attn_k"},
                                      {"self_attn.v_proj", "attn_v"},
                                      {"self_attn.o_proj", "attn_output"},
                                      {"post_attention_layernorm", "ffn_norm"},
                                      {"mlp.c_fc", "ffn_up"},
                                      {"mlp.c_proj", "ffn_down"}},
                         .outside = usual_gguf_outside()},
  };
  return row;
}

}  // namespace inlay
