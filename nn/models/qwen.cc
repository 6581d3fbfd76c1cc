// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "nn/models/llama_like.h"

/// Qwen 2 and 2.5 (arXiv:2407.10671): a Llama with biases on queries, keys and values. Qwen 3
/// (arXiv:2505.09388): without them, and with norms of each head's queries and keys.
namespace inlay {
namespace {

// Layers from max_window_layers on attend through a window, if use_sliding_window says so.
void set_qwen_windows(const HfConfig& config, DecoderPlan& plan) {
  std::optional<i64> window;
  if (config.flag("use_sliding_window", false)) {
    window = config.integer_or_null("sliding_window", 4096);
  }
  const i64 full = config.integer("max_window_layers", 28, 0);
  const auto types = layer_types(
      config, plan.sizes.layers, {kFullAttention, kSlidingAttention},
      [&](i64 layer) { return window && layer >= full ? kSlidingAttention : kFullAttention; });
  set_windows(config, types, window, plan);
}

DecoderPlan qwen2_plan(const HfConfig& config) {
  DecoderPlan p = llama_like_plan(
      config, {.max_positions = 32768, .kv_heads = 32, .attention_bias = "", .mlp_bias = ""});
  for (LayerPlan& layer : p.layers) {
    attention_of(layer).qkv_bias = true;
  }
  set_qwen_windows(config, p);
  return p;
}

DecoderPlan qwen3_plan(const HfConfig& config) {
  DecoderPlan p = llama_like_plan(
      config, {.max_positions = 32768, .kv_heads = 32, .head_dim = 128, .mlp_bias = ""});
  for (LayerPlan& layer : p.layers) {
    attention_of(layer).qk_norm = HeadNormPlan{.eps = p.norm.eps};
  }
  set_qwen_windows(config, p);
  return p;
}

void qwen_gguf_settings(const GgufKeys& keys, nlohmann::json& config) {
  llama_like_gguf_settings(keys, {}, config);
}

}  // namespace

const Family& qwen2_family() {
  static const Family row = {
      .article = "a Qwen 2",
      .model_types = {"qwen2"},
      .causal_class = "Qwen2ForCausalLM",
      .bare_class = "Qwen2Model",
      .base_prefix = "model.",
      .names = {},
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor", "sliding_window", "layer_types"},
      .plan = qwen2_plan,
      .notes = llama_like_notes,
      .gguf = llama_like_gguf("qwen2", qwen_gguf_settings),
      .default_lora_targets = {"q_proj", "v_proj"},
  };
  return row;
}

const Family& qwen3_family() {
  static const Family row = {
      .article = "a Qwen 3",
      .model_types = {"qwen3"},
      .causal_class = "Qwen3ForCausalLM",
      .bare_class = "Qwen3Model",
      .base_prefix = "model.",
      .names = {},
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor", "sliding_window", "layer_types"},
      .plan = qwen3_plan,
      .notes = llama_like_notes,
      .gguf = llama_like_gguf(
          "qwen3", qwen_gguf_settings,
          {{"self_attn.q_norm", "attn_q_norm"}, {"self_attn.k_norm", "attn_k_norm"}}),
      .default_lora_targets = {"q_proj", "v_proj"},
  };
  return row;
}

}  // namespace inlay
