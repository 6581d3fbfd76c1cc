// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "nn/models/config_values.h"
#include "nn/models/families.h"
#include "nn/models/rope_config.h"
#include "nn/models/usual_parts.h"

/// Nemotron 3 and 4, Minitron (Parmar et al. 2024, arXiv:2402.16819): LayerNorms of 1 + w with
/// bias, squared ReLU without a gate, half of each head turned.
namespace inlay {
namespace {

constexpr UsualSizes kNemotron = {.vocab_size = 256000,
                                  .hidden_size = 6144,
                                  .intermediate_size = 24576,
                                  .layers = 32,
                                  .max_positions = 4096,
                                  .heads = 48,
                                  .init_std = 0.0134};

DecoderPlan nemotron_plan(const HfConfig& config) {
  DecoderPlan p = usual_plan(config, kNemotron, false);
  p.norm = {.kind = NormKind::kLayer, .eps = norm_eps(config, "norm_eps", 1e-5), .plus_one = true};
  SelfAttentionPlan attention = usual_attention(config, p, kNemotron);
  attention.qkv_bias = attention.o_bias = config.flag("attention_bias", false);
  p.ropes = {{parse_rope(config, {.head_dim = attention.head_dim,
                                  .max_positions = p.sizes.max_positions,
                                  .partial = 0.5}),
              kGgufRopeDivisors}};
  LayerPlan layer;
  layer.mixer = attention;
  layer.mixer_norms.before = "input_layernorm";
  layer.mlp = usual_mlp(config, p, kNemotron, "relu2");
  ungate(layer.mlp, "up_proj", "down_proj");
  layer.mlp.bias = config.flag("mlp_bias", false);
  layer.mlp_norms.before = "post_attention_layernorm";
  p.layers.assign(p.sizes.layers, layer);
  return p;
}

void more_nemotron_gguf(const GgufKeys& keys, nlohmann::json& c) {
  write_gguf_heads(keys, c);
  c["hidden_act"] = "relu2";
  c["attention_bias"] = has_gguf_tensor(keys, "attn_q.bias");
  c["mlp_bias"] = has_gguf_tensor(keys, "ffn_up.bias");
  write_gguf_rope(keys, {.head_dim = c["head_dim"], .partial = true}, c);
}

}  // namespace

const Family& nemotron_family() {
  static const Family row = {
      .article = "a Nemotron",
      .model_types = {"nemotron"},
      .causal_class = "NemotronForCausalLM",
      .bare_class = "NemotronModel",
      .base_prefix = "model.",
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor"},
      .plan = nemotron_plan,
      .gguf =
          GgufFamily{.architecture = "nemotron",
                     .settings = usual_gguf_settings("attention.layer_norm_epsilon", "norm_eps"),
                     .more_settings = more_nemotron_gguf,
                     .in_layer = {{"input_layernorm", "attn_norm"},
                                  {"self_attn.q_proj", "attn_q"},
                                  {"self_attn.k_proj", "attn_k"},
                                  {"self_attn.v_proj", "attn_v"},
                                  {"self_attn.o_proj", "attn_output"},
                                  {"post_attention_layernorm", "ffn_norm"},
                                  {"mlp.up_proj", "ffn_up"},
                                  {"mlp.down_proj", "ffn_down"}},
                     .outside = usual_gguf_outside(),
                     .adds_one_to_norms = true},
  };
  return row;
}

}  // namespace inlay
