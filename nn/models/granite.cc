// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/llama_like.h"

/// Granite 3: a Llama with four factors. Granite 4 with attention in every layer: the same, with
/// gate and up in one product, and RoPE only where the config says so.
namespace inlay {
namespace {

// In kGgufRopeKey: its layers have no RoPE, for which config.json of a Granite has no word.
constexpr const char* kNone = "none";

void without_rope(DecoderPlan& plan) {
  for (LayerPlan& layer : plan.layers) {
    attention_of(layer).rope.reset();
  }
}

DecoderPlan scaled_plan(const HfConfig& config, const LlamaLike& family) {
  DecoderPlan p = llama_like_plan(config, family);
  p.embedding_multiplier = static_cast<float>(config.number("embedding_multiplier", 1.0));
  const double scaling = config.number("logits_scaling", 1.0);
  if (scaling == 0.0) {
    config.fail("logits_scaling", "expected another number than 0: logits are divided by it");
  }
  p.logits_multiplier = static_cast<float>(1.0 / scaling);
  for (LayerPlan& layer : p.layers) {
    layer.residual_multiplier = static_cast<float>(config.number("residual_multiplier", 1.0));
    attention_of(layer).scale = static_cast<float>(config.number("attention_multiplier", 1.0));
  }
  return p;
}

DecoderPlan granite_plan(const HfConfig& config) {
  DecoderPlan p = scaled_plan(config, {});
  if (const auto gguf = config.object(kGgufRopeKey); gguf && gguf->flag(kNone, false)) {
    without_rope(p);
  }
  return p;
}

void refuse_other_layers(const HfConfig& config, i64 layers) {
  const std::string key = config.has("layer_types") ? "layer_types" : "layers_block_type";
  const std::vector<std::string> types =
      config.has(key) ? config.texts(key) : std::vector<std::string>(layers, "linear_attention");
  if (std::ssize(types) != layers) {
    config.fail(key, str("expected ", layers, " types, one a layer, found ", types.size()));
  }
  for (const std::string& type : types) {
    if (type != "attention" && type != kFullAttention) {
      config.fail(key, str("\"", printable(type),
                           "\" is not supported: only attention is, in every layer"));
    }
  }
  if (const i64 experts = config.integer("num_local_experts", 8, 0); experts != 0) {
    config.fail("num_local_experts", str(experts, " is not supported: models without experts are"));
  }
}

DecoderPlan granite_hybrid_plan(const HfConfig& given) {
  // The width of the block that all tokens pass, where others have one block alone.
  nlohmann::json json = given.json();
  json["intermediate_size"] = given.integer("shared_intermediate_size", 1024);
  const HfConfig config(json, given.file());
  DecoderPlan p = scaled_plan(config, {.mlp_bias = ""});
  refuse_other_layers(config, p.sizes.layers);
  for (LayerPlan& layer : p.layers) {
    layer.mlp_name = "shared_mlp";
    layer.mlp.fused = true;
    layer.mlp.first = "input_linear";
    layer.mlp.up = "";
    layer.mlp.down = "output_linear";
  }
  if (config.text("position_embedding_type", "") != "rope") {
    without_rope(p);
  }
  return p;
}

// Files of Granite 4 say so, too, where none of its layers is Mamba's.
void granite_gguf_settings(const GgufKeys& keys, nlohmann::json& config) {
  llama_like_gguf_settings(keys, {}, config);
  config["embedding_multiplier"] = keys.number("embedding_scale", 1.0);
  config["residual_multiplier"] = keys.number("residual_scale", 1.0);
  config["logits_scaling"] = keys.number("logit_scale", 1.0);
  config["attention_multiplier"] = keys.number("attention.scale", 1.0);
  if (const i64 shared = keys.integer("expert_shared_feed_forward_length", 0); shared != 0) {
    config["intermediate_size"] = shared;
  }
  if (!keys.flag("rope.scaling.finetuned", true)) {
    config[kGgufRopeKey][kNone] = true;
  }
}

GgufFamily granite_gguf() {
  GgufFamily g = llama_like_gguf("granite", granite_gguf_settings);
  g.permutes_rope_rows = true;
  return g;
}

std::vector<std::string_view> factors() {
  return {"partial_rotary_factor", "embedding_multiplier", "residual_multiplier", "logits_scaling",
          "attention_multiplier"};
}

std::vector<std::string_view> hybrid_settings() {
  std::vector<std::string_view> keys = factors();
  keys.insert(keys.end(), {"layer_types", "layers_block_type", "num_local_experts",
                           "shared_intermediate_size", "mamba_d_state", "mamba_expand"});
  return keys;
}

}  // namespace

const Family& granite_family() {
  static const Family row = {
      .article = "a Granite",
      .model_types = {"granite"},
      .causal_class = "GraniteForCausalLM",
      .bare_class = "GraniteModel",
      .base_prefix = "model.",
      .names = {},
      .layers_key = "num_hidden_layers",
      .own_settings = factors(),
      .plan = granite_plan,
      .notes = llama_like_notes,
      .gguf = granite_gguf(),
  };
  return row;
}

const Family& granite_hybrid_family() {
  static const Family row = {
      .article = "a Granite 4",
      .model_types = {"granitemoehybrid"},
      .causal_class = "GraniteMoeHybridForCausalLM",
      .bare_class = "GraniteMoeHybridModel",
      .base_prefix = "model.",
      .names = {},
      .layers_key = "num_hidden_layers",
      .own_settings = hybrid_settings(),
      .plan = granite_hybrid_plan,
      .notes = llama_like_notes,
  };
  return row;
}

}  // namespace inlay
