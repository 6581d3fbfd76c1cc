// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "nn/models/config_values.h"
#include "nn/models/families.h"
#include "nn/models/rope_config.h"
#include "nn/models/usual_parts.h"

/// Cohere 2 (Command R7B, Command A): attention and feed-forward block side by side behind one
/// LayerNorm without bias; RoPE in pairs of neighbours on the layers that see a window, and no
/// positions on the others.
namespace inlay {
namespace {

constexpr UsualSizes kCohere2 = {.vocab_size = 256000,
                                 .hidden_size = 8192,
                                 .intermediate_size = 22528,
                                 .layers = 40,
                                 .max_positions = 8192,
                                 .heads = 64};

DecoderPlan cohere2_plan(const HfConfig& config) {
  DecoderPlan p = usual_plan(config, kCohere2, true);
  p.norm = {
      .kind = NormKind::kLayer, .eps = norm_eps(config, "layer_norm_eps", 1e-5), .bias = false};
  p.logits_multiplier = static_cast<float>(config.number("logit_scale", 0.0625));
  SelfAttentionPlan attention = usual_attention(config, p, kCohere2);
  attention.qkv_bias = attention.o_bias = config.flag("attention_bias", false);
  p.ropes = {{parse_rope(config, {.head_dim = attention.head_dim,
                                  .max_positions = p.sizes.max_positions,
                                  .order = RopePairs::kInterleaved}),
              ""}};
  LayerPlan layer;
  layer.parallel = true;
  layer.mixer_norms.before = "input_layernorm";
  layer.mlp = usual_mlp(config, p, kCohere2, "silu");
  const i64 window = window_of(config, 4096);
  for (const bool sliding : sliding_layers(config, p.sizes.layers, 4)) {
    attention.window = sliding ? window : 0;
    // Transformers asks whether there is a window, not what the layer is called.
    attention.rope = attention.window > 0 ? std::optional<i64>(0) : std::nullopt;
    layer.mixer = attention;
    p.layers.push_back(layer);
  }
  return p;
}

void more_cohere2_gguf(const GgufKeys& keys, nlohmann::json& c) {
  write_gguf_heads(keys, c);
  c["hidden_act"] = "silu";
  c["logit_scale"] = keys.number("logit_scale");
  c["attention_bias"] = has_gguf_tensor(keys, "attn_q.bias");
  write_gguf_window(keys, 4, 4096, c);
  write_gguf_rope(keys, {.head_dim = c["head_dim"]}, c);
}

}  // namespace

const Family& cohere2_family() {
  static const Family row = {
      .article = "a Cohere 2",
      .model_types = {"cohere2"},
      .causal_class = "Cohere2ForCausalLM",
      .bare_class = "Cohere2Model",
      .base_prefix = "model.",
      .tied_by_default = true,
      .layers_key = "num_hidden_layers",
      .own_settings = {"logit_scale", "sliding_window", "sliding_window_pattern", "layer_types"},
      .plan = cohere2_plan,
      .gguf = GgufFamily{.architecture = "cohere2",
                         .settings =
                             usual_gguf_settings("attention.layer_norm_epsilon", "layer_norm_eps"),
                         .more_settings = more_cohere2_gguf,
                         .in_layer = {{"input_layernorm", "attn_norm"},
                                      {"self_attn.q_proj", "attn_q"},
                                      {"self_attn.k_proj", "attn_k"},
                                      {"self_attn.v_proj", "attn_v"},
                                      {"self_attn.o_proj", "attn_output"},
                                      {"mlp.gate_proj", "ffn_gate"},
                                      {"mlp.up_proj", "ffn_up"},
                                      {"mlp.down_proj", "ffn_down"}},
                         .outside = usual_gguf_outside()},
  };
  return row;
}

}  // namespace inlay
