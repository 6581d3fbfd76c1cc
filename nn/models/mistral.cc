// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/llama_like.h"

/// Mistral (arXiv:2310.06825): a Llama all of whose layers may attend through a window. Ministral
/// 3: the same, stretched by YaRN, with queries that grow with their position. Mistral 3: one of
/// both beside a part that sees images.
namespace inlay {
namespace {

DecoderPlan mistral_plan(const HfConfig& config) {
  DecoderPlan p = llama_like_plan(
      config, {.max_positions = 131072, .kv_heads = 8, .attention_bias = "", .mlp_bias = ""});
  for (LayerPlan& layer : p.layers) {
    attention_of(layer).window = config.integer_or_null("sliding_window", 4096).value_or(0);
  }
  return p;
}

DecoderPlan ministral3_plan(const HfConfig& given) {
  const nlohmann::json usual = {{"rope_type", "yarn"},
                                {"rope_theta", 1e6},
                                {"factor", 16.0},
                                {"original_max_position_embeddings", 16384},
                                {"beta_fast", 32.0},
                                {"beta_slow", 1.0},
                                {"mscale_all_dim", 1.0},
                                {"mscale", 1.0},
                                {"llama_4_scaling_beta", 0.1}};
  const HfConfig config = with_rope_parameters(given, usual);
  DecoderPlan p = llama_like_plan(config, {.eps = 1e-5,
                                           .max_positions = 262144,
                                           .kv_heads = 8,
                                           .head_dim = 128,
                                           .attention_bias = "",
                                           .mlp_bias = "",
                                           .rope = {.query_growth = true}});
  for (LayerPlan& layer : p.layers) {
    attention_of(layer).window = config.integer_or_null("sliding_window", {}).value_or(0);
  }
  return p;
}

void ministral3_gguf_settings(const GgufKeys& keys, nlohmann::json& config) {
  llama_like_gguf_settings(keys, {}, config);
}

GgufFamily ministral3_gguf() {
  GgufFamily g = llama_like_gguf("mistral3", ministral3_gguf_settings);
  g.permutes_rope_rows = true;
  return g;
}

DecoderPlan mistral3_plan(const HfConfig& config) {
  const std::string type = config.text("model_type", "mistral");
  if (type == "ministral3") {
    return ministral3_plan(config);
  }
  if (type != "mistral") {
    config.fail("model_type",
                str("expected \"mistral\" or \"ministral3\", found \"", printable(type), "\""));
  }
  return mistral_plan(config);
}

}  // namespace

// GGUF files of a Mistral call it a Llama.
const Family& mistral_family() {
  static const Family row = {
      .article = "a Mistral",
      .model_types = {"mistral"},
      .causal_class = "MistralForCausalLM",
      .bare_class = "MistralModel",
      .base_prefix = "model.",
      .names = {},
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor", "sliding_window"},
      .plan = mistral_plan,
      .notes = llama_like_notes,
      .default_lora_targets = {"q_proj", "v_proj"},
  };
  return row;
}

const Family& ministral3_family() {
  static const Family row = {
      .article = "a Ministral 3",
      .model_types = {"ministral3"},
      .causal_class = "Ministral3ForCausalLM",
      .bare_class = "Ministral3Model",
      .base_prefix = "model.",
      .names = {},
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor", "sliding_window"},
      .plan = ministral3_plan,
      .notes = llama_like_notes,
      .gguf = ministral3_gguf(),
  };
  return row;
}

const Family& mistral3_family() {
  static const Family row = [] {
    Family wrapper =
        text_part_of(mistral_family(), {.article = "a Mistral 3",
                                        .model_type = "mistral3",
                                        .causal_class = "Mistral3ForConditionalGeneration",
                                        .bare_class = "Mistral3Model"});
    wrapper.plan = mistral3_plan;
    wrapper.tied_by_default = true;
    return wrapper;
  }();
  return row;
}

}  // namespace inlay
