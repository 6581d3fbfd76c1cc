// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "nn/models/llama_like.h"

/// ERNIE 4.5, the dense models: a Llama with RoPE on neighbouring values and, if the config says
/// so, biases on all projections.
namespace inlay {
namespace {

DecoderPlan ernie_plan(const HfConfig& config) {
  return llama_like_plan(config, {.eps = 1e-5,
                                  .max_positions = 131072,
                                  .kv_heads = 2,
                                  .head_dim = 128,
                                  .tied = true,
                                  .attention_dropout = false,
                                  .attention_bias = "use_bias",
                                  .mlp_bias = "use_bias",
                                  .rope = {.theta = 500000.0, .order = RopePairs::kInterleaved}});
}

void ernie_gguf_settings(const GgufKeys& keys, nlohmann::json& config) {
  llama_like_gguf_settings(keys, {.theta = 500000.0}, config);
  config["use_bias"] = config["attention_bias"];
}

}  // namespace

const Family& ernie4_5_family() {
  static const Family row = {
      .article = "an ERNIE 4.5",
      .model_types = {"ernie4_5"},
      .causal_class = "Ernie4_5ForCausalLM",
      .bare_class = "Ernie4_5Model",
      .base_prefix = "model.",
      .names = {},
      .tied_by_default = true,
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor"},
      .plan = ernie_plan,
      .notes = llama_like_notes,
      .gguf = llama_like_gguf("ernie4_5", ernie_gguf_settings),
  };
  return row;
}

}  // namespace inlay
