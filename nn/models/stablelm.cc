// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "nn/models/config_values.h"
#include "nn/models/families.h"
#include "nn/models/rope_config.h"
#include "nn/models/usual_parts.h"

/// StableLM 2 and 3B (Bellagente et al. 2024, arXiv:2402.17834): LayerNorms with bias, a quarter of
/// each head turned; the 12B has both parts side by side behind one norm, and LayerNorms of each
/// query and key head.
namespace inlay {
namespace {

constexpr UsualSizes kStablelm = {.vocab_size = 50304,
                                  .hidden_size = 2560,
                                  .intermediate_size = 6912,
                                  .layers = 32,
                                  .max_positions = 4096,
                                  .heads = 32,
                                  .kv_heads = 32};

DecoderPlan stablelm_plan(const HfConfig& config) {
  DecoderPlan p = usual_plan(config, kStablelm, false);
  p.norm = {.kind = NormKind::kLayer, .eps = norm_eps(config, "layer_norm_eps", 1e-5)};
  SelfAttentionPlan attention = usual_attention(config, p, kStablelm);
  attention.qkv_bias = config.flag("use_qkv_bias", false);
  if (config.flag("qk_layernorm", false)) {
    attention.qk_norm = HeadNormPlan{.kind = HeadNormPlan::kLayer,
                                     .weights = HeadNormPlan::kOwn,
                                     .eps = p.norm.eps,
                                     .q = "q_layernorm",
                                     .k = "k_layernorm"};
  }
  p.ropes = {{parse_rope(config, {.head_dim = attention.head_dim,
                                  .max_positions = p.sizes.max_positions,
                                  .partial = 0.25}),
              kGgufRopeDivisors}};
  LayerPlan layer;
  layer.mixer = attention;
  layer.mixer_norms.before = "input_layernorm";
  layer.mlp = usual_mlp(config, p, kStablelm, "silu");
  layer.parallel = config.flag("use_parallel_residual", false);
  layer.mlp_norms.before = layer.parallel ? "" : "post_attention_layernorm";
  layer.residual_dropout = dropout_if_any(config, "hidden_dropout");
  layer.mixer_dropout = false;
  p.layers.assign(p.sizes.layers, layer);
  return p;
}

void more_stablelm_gguf(const GgufKeys& keys, nlohmann::json& c) {
  write_gguf_heads(keys, c);
  c["hidden_act"] = "silu";
  c["use_qkv_bias"] = has_gguf_tensor(keys, "attn_q.bias");
  c["qk_layernorm"] = has_gguf_tensor(keys, "attn_q_norm.weight");
  // Files say so in a key, too, which converters got wrong; llama.cpp goes by the norm.
  c["use_parallel_residual"] = !has_gguf_tensor(keys, "ffn_norm.weight");
  write_gguf_rope(keys, {.head_dim = c["head_dim"], .partial = true}, c);
}

}  // namespace

const Family& stablelm_family() {
  static const Family row = {
      .article = "a StableLM",
      .model_types = {"stablelm"},
      .causal_class = "StableLmForCausalLM",
      .bare_class = "StableLmModel",
      .base_prefix = "model.",
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor", "qk_layernorm", "use_parallel_residual"},
      .plan = stablelm_plan,
      .gguf = GgufFamily{.architecture = "stablelm",
                         .settings =
                             usual_gguf_settings("attention.layer_norm_epsilon", "layer_norm_eps"),
                         .more_settings = more_stablelm_gguf,
                         .in_layer = {{"input_layernorm", "attn_norm"},
                                      {"self_attn.q_proj", "attn_q"},
                                      {"self_attn.k_proj", "attn_k"},
                                      {"self_attn.v_proj", "attn_v"},
                                      {"self_attn.o_proj", "attn_output"},
                                      {"self_attn.q_layernorm", "attn_q_norm"},
                                      {"self_attn.k_layernorm", "attn_k_norm"},
                                      {"post_attention_layernorm", "ffn_norm"},
                                      {"mlp.gate_proj", "ffn_gate"},
                                      {"mlp.up_proj", "ffn_up"},
                                      {"mlp.down_proj", "ffn_down"}},
                         .outside = usual_gguf_outside()},
      .default_lora_targets = {"q_proj", "v_proj"},
  };
  return row;
}

}  // namespace inlay
