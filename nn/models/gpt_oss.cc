// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/config_values.h"
#include "nn/models/experts_config.h"
#include "nn/models/rope_config.h"

/// gpt-oss (OpenAI 2025, arXiv:2508.10925): windows in every other layer, a sink for every head, and
/// experts with a clamped gate, biases, and matrices in MXFP4.
namespace inlay {
namespace {

constexpr i64 kGptOssPositions = 131072;

const nlohmann::json& usual_rope() {
  static const nlohmann::json rope = {
      {"rope_type", "yarn"}, {"factor", 32.0},    {"beta_fast", 32.0},
      {"beta_slow", 1.0},    {"truncate", false}, {"original_max_position_embeddings", 4096}};
  return rope;
}

// Whether layer i sees a window only: layer_types, or every other layer from the first on.
bool slides(const HfConfig& config, i64 i) {
  if (!config.has("layer_types")) {
    return i % 2 == 0;
  }
  const nlohmann::json& types = config.json()["layer_types"];
  const bool listed = types.is_array() && static_cast<i64>(types.size()) > i;
  if (!listed || (types[i] != "sliding_attention" && types[i] != "full_attention")) {
    config.fail("layer_types",
                str("expected \"sliding_attention\" or \"full_attention\" for layer ", i,
                    ", found ", listed ? printable(types[i].dump(), 60) : "nothing"));
  }
  return types[i] == "sliding_attention";
}

DecoderPlan gpt_oss_plan(const HfConfig& config) {
  DecoderPlan p = mixture_plan(config, 1e-5, kGptOssPositions);
  ExpertsPlan experts = parse_experts(config, {.usual_chosen = 4});
  experts.router = "router";
  experts.router_bias = true;
  experts.gate.clamped = true;
  experts.gate.alpha = static_cast<float>(config.number("swiglu_alpha", 1.702));
  experts.gate.limit = static_cast<float>(config.number("swiglu_limit", 7.0));
  for (ExpertStackSpec* spec : {&experts.gate_up, &experts.down}) {
    spec->stacked = spec->in_out = spec->bias = true;
  }
  experts.gate_up.interleaved = true;
  const i64 window = config.has("sliding_window") ? config.integer("sliding_window") : 0;
  for (i64 i = 0; i < p.sizes.layers; ++i) {
    LayerPlan& layer = p.layers[i];
    auto& attention = std::get<SelfAttentionPlan>(layer.mixer);
    attention.qkv_bias = attention.o_bias = config.flag("attention_bias", true);
    attention.sinks = "sinks";
    attention.window = slides(config, i) ? window : 0;
    layer.experts = experts;
  }
  const i64 head_dim = std::get<SelfAttentionPlan>(p.layers.front().mixer).head_dim;
  p.ropes = {
      {parse_rope(
           with_rope_parameters(config, usual_rope()),
           {.head_dim = head_dim, .max_positions = p.sizes.max_positions, .theta = 150000.0}),
       kGgufRopeDivisors}};
  return p;
}

void more_gpt_oss_gguf(const GgufKeys& keys, nlohmann::json& c) {
  write_gguf_mixture(keys, "intermediate_size", c);
  c["sliding_window"] = keys.integer("attention.sliding_window");
  // Bounds of yarn's ramp that are not whole: the model's own, and no key of these files. Nor are
  // alpha and limit of the gate, which are the usual ones.
  if (c.contains("rope_parameters") && c["rope_parameters"].value("rope_type", "") == "yarn") {
    c["rope_parameters"]["truncate"] = false;
  }
}

}  // namespace

const Family& gpt_oss_family() {
  static const Family row = [] {
    Family family = {
        .article = "a gpt-oss",
        .model_types = {"gpt_oss"},
        .causal_class = "GptOssForCausalLM",
        .bare_class = "GptOssModel",
        .base_prefix = "model.",
        .names = {},
        .layers_key = "num_hidden_layers",
        .own_settings = {"num_experts", "num_local_experts", "sliding_window", "layer_types",
                         "swiglu_limit"},
        .plan = gpt_oss_plan,
        .gguf = GgufFamily{.architecture = "gpt-oss",
                           .settings = gguf_mixture_settings(),
                           .more_settings = more_gpt_oss_gguf,
                           .in_layer = gguf_mixture_names("post_attention_norm"),
                           .outside = gguf_outside_names()},
    };
    family.gguf->in_layer.push_back({"mlp.router", "ffn_gate_inp"});
    family.gguf->in_layer.push_back({"self_attn.sinks", "attn_sinks.weight"});
    return family;
  }();
  return row;
}

}  // namespace inlay
