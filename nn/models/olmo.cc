// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "nn/models/llama_like.h"

/// OLMo 2 (arXiv:2501.00656): a Llama normed behind each part instead of before it, with norms of
/// queries and keys over all heads together. OLMo 3: three of four layers attend through a window,
/// and those are not stretched.
namespace inlay {
namespace {

DecoderPlan normed_behind(const HfConfig& config, const RopeRules& rope) {
  DecoderPlan p = llama_like_plan(config, {.eps = 1e-5, .mlp_bias = "", .rope = rope});
  for (LayerPlan& layer : p.layers) {
    norm_behind(layer);
    attention_of(layer).qk_norm = HeadNormPlan{.weights = HeadNormPlan::kWhole, .eps = p.norm.eps};
  }
  return p;
}

DecoderPlan olmo2_plan(const HfConfig& config) {
  return normed_behind(config, {});
}

DecoderPlan olmo3_plan(const HfConfig& config) {
  constexpr double kTheta = 500000.0;
  DecoderPlan p = normed_behind(config, {.layer_type = kFullAttention, .theta = kTheta});
  // A rope_theta beside the types of layers reaches only those of full attention.
  p.ropes.push_back({parse_rope(config, {.head_dim = attention_of(p.layers[0]).head_dim,
                                         .max_positions = p.sizes.max_positions,
                                         .layer_type = kSlidingAttention,
                                         .theta_key = "",
                                         .theta = kTheta}),
                     ""});
  const std::vector<std::string> types = layer_types(
      config, p.sizes.layers, {kFullAttention, kSlidingAttention},
      [](i64 layer) { return (layer + 1) % 4 != 0 ? kSlidingAttention : kFullAttention; });
  set_windows(config, types, config.integer_or_null("sliding_window", 4096), p);
  for (std::size_t i = 0; i < types.size(); ++i) {
    attention_of(p.layers[i]).rope = types[i] == kSlidingAttention ? 1 : 0;
  }
  return p;
}

// Files of both call it OLMo 2; those with a window are of OLMo 3.
void olmo_gguf_settings(const GgufKeys& keys, nlohmann::json& config) {
  GgufRopeRules rope;
  if (keys.integer("attention.sliding_window", 0) != 0) {
    config["model_type"] = "olmo3";
    config["architectures"] = {"Olmo3ForCausalLM"};
    rope.sliding_theta = keys.number("rope.freq_base", rope.theta);
    write_gguf_windows(keys, config);
  }
  llama_like_gguf_settings(keys, rope, config);
}

GgufFamily olmo_gguf() {
  return llama_like_gguf("olmo2", olmo_gguf_settings,
                         {{"post_attention_layernorm", "post_attention_norm"},
                          {"post_feedforward_layernorm", "post_ffw_norm"},
                          {"self_attn.q_norm", "attn_q_norm"},
                          {"self_attn.k_norm", "attn_k_norm"}});
}

}  // namespace

const Family& olmo2_family() {
  static const Family row = {
      .article = "an OLMo 2",
      .model_types = {"olmo2"},
      .causal_class = "Olmo2ForCausalLM",
      .bare_class = "Olmo2Model",
      .base_prefix = "model.",
      .names = {},
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor"},
      .plan = olmo2_plan,
      .notes = llama_like_notes,
      .gguf = olmo_gguf(),
  };
  return row;
}

const Family& olmo3_family() {
  static const Family row = {
      .article = "an OLMo 3",
      .model_types = {"olmo3"},
      .causal_class = "Olmo3ForCausalLM",
      .bare_class = "Olmo3Model",
      .base_prefix = "model.",
      .names = {},
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor", "sliding_window", "layer_types"},
      .plan = olmo3_plan,
      .gguf = olmo_gguf(),
  };
  return row;
}

}  // namespace inlay
