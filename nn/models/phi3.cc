// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "nn/models/config_values.h"
#include "nn/models/llama_like.h"

/// Phi-3, Phi-3.5 and Phi-4-mini (arXiv:2404.14219): a Llama with one product for queries, keys and
/// values and one for gate and up, and heads of which a part may turn.
namespace inlay {
namespace {

DecoderPlan phi3_plan(const HfConfig& config) {
  DecoderPlan p = llama_like_plan(config, {.eps = 1e-5,
                                           .max_positions = 4096,
                                           .attention_bias = "",
                                           .mlp_bias = "",
                                           .rope = {.partial = 1.0, .longrope_alone = true}});
  const float dropped = probability(config, "resid_pdrop", 0.0);
  for (LayerPlan& layer : p.layers) {
    SelfAttentionPlan& attention = attention_of(layer);
    attention.qkv = "qkv_proj";
    attention.window = config.integer_or_null("sliding_window", {}).value_or(0);
    layer.mlp.fused = true;
    layer.mlp.first = "gate_up_proj";
    layer.mlp.up = "";
    if (dropped > 0.0F) {
      layer.residual_dropout = dropped;
    }
  }
  return p;
}

std::vector<std::string> phi3_notes(const HfConfig& config) {
  if (probability(config, "embd_pdrop", 0.0) > 0.0F) {
    return {config.file() + ": embd_pdrop is left out, as in Transformers"};
  }
  return {};
}

void phi3_gguf_settings(const GgufKeys& keys, nlohmann::json& config) {
  llama_like_gguf_settings(keys, {.partial = true}, config);
  write_gguf_windows(keys, config);
}

}  // namespace

const Family& phi3_family() {
  static const Family row = {
      .article = "a Phi-3",
      .model_types = {"phi3"},
      .causal_class = "Phi3ForCausalLM",
      .bare_class = "Phi3Model",
      .base_prefix = "model.",
      .names = {},
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor", "sliding_window"},
      .plan = phi3_plan,
      .notes = phi3_notes,
      .gguf = llama_like_gguf("phi3", phi3_gguf_settings,
                              {{"self_attn.qkv_proj", "attn_qkv"}, {"mlp.gate_up_proj", "ffn_up"}}),
  };
  return row;
}

}  // namespace inlay
