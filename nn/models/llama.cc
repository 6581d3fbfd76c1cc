// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "nn/models/llama_like.h"

/// The Llama family (Touvron et al. 2023, arXiv:2302.13971, and after): Llama 2 and 3, SmolLM2,
/// TinyLlama. Pre-norm layers, gated feed-forward blocks, RoPE, grouped-query attention.
namespace inlay {
namespace {

DecoderPlan llama_plan(const HfConfig& config) {
  return llama_like_plan(config, {});
}

std::vector<std::string> llama_notes(const HfConfig& config) {
  std::vector<std::string> notes = llama_like_notes(config);
  if (config.flag("use_sliding_window", true) && config.has("sliding_window") &&
      config.number("sliding_window") <
          static_cast<double>(
              config.integer("max_position_embeddings", LlamaLike{}.max_positions))) {
    notes.push_back(config.file() +
                    ": sliding_window is left out: a Llama attends to all that came before, as in "
                    "Transformers");
  }
  return notes;
}

void llama_gguf_settings(const GgufKeys& keys, nlohmann::json& config) {
  llama_like_gguf_settings(keys, {.yarn_attention_factor = false}, config);
}

GgufFamily llama_gguf() {
  GgufFamily g = llama_like_gguf("llama", llama_gguf_settings);
  g.permutes_rope_rows = true;
  return g;
}

}  // namespace

const Family& llama_family() {
  static const Family row = {
      .article = "a Llama",
      .model_types = {"llama"},
      .causal_class = "LlamaForCausalLM",
      .bare_class = "LlamaModel",
      .base_prefix = "model.",
      .names = {},
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor", "sliding_window"},
      .plan = llama_plan,
      .notes = llama_notes,
      .gguf = llama_gguf(),
      .default_lora_targets = {"q_proj", "v_proj"},
  };
  return row;
}

}  // namespace inlay
