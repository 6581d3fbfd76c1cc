// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/config_values.h"
#include "nn/models/experts_config.h"
#include "nn/models/llama_like.h"

/// Granite 3: a Llama with four factors, or with experts in place of each feed-forward block, or
/// beside one that all tokens pass. Granite 4 with attention in every layer: such a block, with or
/// without experts beside it, and RoPE only where the config says so.
namespace inlay {
namespace {

// In kGgufRopeKey: its layers have no RoPE, for which config.json of a Granite has no word.
constexpr const char* kNone = "none";
constexpr const char* kSharedWidth = "shared_intermediate_size";
constexpr const char* kRouter = "router.layer";

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

// As files of GGUF say of Granite 4.
void follow_gguf(const HfConfig& config, DecoderPlan& plan) {
  if (const auto gguf = config.object(kGgufRopeKey); gguf && gguf->flag(kNone, false)) {
    without_rope(plan);
  }
}

DecoderPlan granite_plan(const HfConfig& config) {
  DecoderPlan p = scaled_plan(config, {});
  follow_gguf(config, p);
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
}

// Of which the router takes the softmax over those that are chosen.
void add_experts(const HfConfig& config, DecoderPlan& plan) {
  ExpertsPlan experts = parse_experts(config, {.usual_experts = 8, .usual_chosen = 2});
  experts.name = "block_sparse_moe";
  experts.router = kRouter;
  stack_experts(experts);
  experts.gate_up.stack = "input_linear.weight";
  experts.down.stack = "output_linear.weight";
  for (LayerPlan& layer : plan.layers) {
    layer.experts = experts;
  }
}

// The block that all tokens pass.
void share_mlp(LayerPlan& layer) {
  layer.mlp_name = "shared_mlp";
  layer.mlp.fused = true;
  layer.mlp.first = "input_linear";
  layer.mlp.up = "";
  layer.mlp.down = "output_linear";
}

// `config` with the width of the block that all tokens pass, where others have one block alone.
HfConfig with_shared_width(const HfConfig& config, i64 usual) {
  nlohmann::json json = config.json();
  json["intermediate_size"] = config.integer(kSharedWidth, usual);
  return {json, config.file()};
}

DecoderPlan granite_moe_plan(const HfConfig& config) {
  DecoderPlan p = scaled_plan(config, {.mlp_bias = ""});
  add_experts(config, p);
  for (LayerPlan& layer : p.layers) {
    layer.mlp.width = 0;
  }
  follow_gguf(config, p);
  return p;
}

DecoderPlan granite_moe_shared_plan(const HfConfig& config) {
  if (config.integer(kSharedWidth, 0, 0) == 0) {
    return granite_moe_plan(config);
  }
  DecoderPlan p = scaled_plan(with_shared_width(config, 0), {.mlp_bias = ""});
  add_experts(config, p);
  std::ranges::for_each(p.layers, share_mlp);
  follow_gguf(config, p);
  return p;
}

DecoderPlan granite_hybrid_plan(const HfConfig& given) {
  const HfConfig config = with_shared_width(given, 1024);
  DecoderPlan p = scaled_plan(config, {.mlp_bias = ""});
  refuse_other_layers(config, p.sizes.layers);
  std::ranges::for_each(p.layers, share_mlp);
  if (given.integer("num_local_experts", 8, 0) > 0) {
    add_experts(given, p);
  }
  if (config.text("position_embedding_type", "") != "rope") {
    without_rope(p);
  }
  return p;
}

void gguf_factors(const GgufKeys& keys, nlohmann::json& config) {
  config["embedding_multiplier"] = keys.number("embedding_scale", 1.0);
  config["residual_multiplier"] = keys.number("residual_scale", 1.0);
  config["logits_scaling"] = keys.number("logit_scale", 1.0);
  config["attention_multiplier"] = keys.number("attention.scale", 1.0);
  if (!keys.flag("rope.scaling.finetuned", true)) {
    config[kGgufRopeKey][kNone] = true;
  }
}

// Files of Granite 4 say so, too, where none of its layers is Mamba's.
void granite_gguf_settings(const GgufKeys& keys, nlohmann::json& config) {
  llama_like_gguf_settings(keys, {}, config);
  gguf_factors(keys, config);
  if (const i64 shared = keys.integer("expert_shared_feed_forward_length", 0); shared != 0) {
    config["intermediate_size"] = shared;
  }
}

// Of Granite 4, too, where it has experts and no Mamba.
void granite_moe_gguf_settings(const GgufKeys& keys, nlohmann::json& config) {
  write_gguf_mixture(keys, "intermediate_size", config);
  gguf_factors(keys, config);
  config["num_local_experts"] = config["num_experts"];
  config.erase("num_experts");
  if (const i64 shared = keys.integer("expert_shared_feed_forward_length", 0); shared != 0) {
    config["model_type"] = "granitemoeshared";
    config["architectures"] = {"GraniteMoeSharedForCausalLM"};
    config[kSharedWidth] = shared;
  }
}

GgufFamily granite_gguf() {
  GgufFamily g = llama_like_gguf("granite", granite_gguf_settings);
  g.permutes_rope_rows = true;
  return g;
}

GgufFamily granite_moe_gguf() {
  return {.architecture = "granitemoe",
          .settings = gguf_mixture_settings(),
          .more_settings = granite_moe_gguf_settings,
          .in_layer = {{"input_layernorm", "attn_norm"},
                       {"self_attn.q_proj", "attn_q"},
                       {"self_attn.k_proj", "attn_k"},
                       {"self_attn.v_proj", "attn_v"},
                       {"self_attn.o_proj", "attn_output"},
                       {"post_attention_layernorm", "ffn_norm"},
                       {"block_sparse_moe.router.layer", "ffn_gate_inp"},
                       {"block_sparse_moe.gate_proj", "ffn_gate_exps"},
                       {"block_sparse_moe.up_proj", "ffn_up_exps"},
                       {"block_sparse_moe.down_proj", "ffn_down_exps"},
                       {"shared_mlp.input_linear", "ffn_gate_shexp"},
                       {"shared_mlp.output_linear", "ffn_down_shexp"}},
          .outside = gguf_outside_names(),
          .permutes_rope_rows = true,
          .second_halves = {{"ffn_gate_shexp", "ffn_up_shexp"}}};
}

std::vector<std::string_view> factors() {
  return {"partial_rotary_factor", "embedding_multiplier", "residual_multiplier", "logits_scaling",
          "attention_multiplier"};
}

// And those of its descendants.
std::vector<std::string_view> factors_and(const std::vector<std::string_view>& more) {
  std::vector<std::string_view> keys = factors();
  keys.insert(keys.end(), more.begin(), more.end());
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

const Family& granite_moe_family() {
  static const Family row = {
      .article = "a Granite-MoE",
      .model_types = {"granitemoe"},
      .causal_class = "GraniteMoeForCausalLM",
      .bare_class = "GraniteMoeModel",
      .base_prefix = "model.",
      .names = {},
      .layers_key = "num_hidden_layers",
      .own_settings = factors_and({"num_local_experts"}),
      .plan = granite_moe_plan,
      .notes = llama_like_notes,
      .gguf = granite_moe_gguf(),
      .router = RouterName{"router", kRouter},
  };
  return row;
}

const Family& granite_moe_shared_family() {
  static const Family row = [] {
    Family shared = granite_moe_family();
    shared.model_types = {"granitemoeshared"};
    shared.causal_class = "GraniteMoeSharedForCausalLM";
    shared.bare_class = "GraniteMoeSharedModel";
    shared.own_settings = factors_and({"num_local_experts", kSharedWidth});
    shared.plan = granite_moe_shared_plan;
    return shared;
  }();
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
      .own_settings = factors_and({"layer_types", "layers_block_type", "num_local_experts",
                                   kSharedWidth, "mamba_d_state", "mamba_expand"}),
      .plan = granite_hybrid_plan,
      .notes = llama_like_notes,
      .router = RouterName{"router", kRouter},
  };
  return row;
}

}  // namespace inlay
