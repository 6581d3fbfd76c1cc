// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "nn/models/llama_like.h"

/// SmolLM3: a Llama in which each fourth layer has no RoPE (Yang et al. 2025, arXiv:2501.18795).
namespace inlay {
namespace {

DecoderPlan smollm3_plan(const HfConfig& config) {
  DecoderPlan p = llama_like_plan(
      config, {.max_positions = 32768, .kv_heads = 4, .tied = true, .rope = {.theta = 2000000.0}});
  const std::vector<bool> turned = layers_with_rope(config, p.sizes.layers, 4);
  for (std::size_t i = 0; i < p.layers.size(); ++i) {
    if (!turned[i]) {
      attention_of(p.layers[i]).rope.reset();
    }
  }
  // A window, where there is one, is for the layers without RoPE.
  std::optional<i64> window;
  if (config.flag("use_sliding_window", false)) {
    window = config.integer_or_null("sliding_window", {});
  }
  const auto types =
      layer_types(config, p.sizes.layers, {kFullAttention, kSlidingAttention}, [&](i64 layer) {
        return window && !turned[static_cast<std::size_t>(layer)] ? kSlidingAttention
                                                                  : kFullAttention;
      });
  set_windows(config, types, window, p);
  return p;
}

// llama.cpp knows which layers have no RoPE, and its files do not say.
void smollm3_gguf_settings(const GgufKeys& keys, nlohmann::json& config) {
  llama_like_gguf_settings(keys, {.theta = 2000000.0}, config);
}

GgufFamily smollm3_gguf() {
  GgufFamily g = llama_like_gguf("smollm3", smollm3_gguf_settings);
  g.permutes_rope_rows = true;
  return g;
}

}  // namespace

const Family& smollm3_family() {
  static const Family row = {
      .article = "a SmolLM3",
      .model_types = {"smollm3"},
      .causal_class = "SmolLM3ForCausalLM",
      .bare_class = "SmolLM3Model",
      .base_prefix = "model.",
      .names = {},
      .tied_by_default = true,
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor", "sliding_window", "layer_types", "no_rope_layers"},
      .plan = smollm3_plan,
      .notes = llama_like_notes,
      .gguf = smollm3_gguf(),
  };
  return row;
}

}  // namespace inlay
