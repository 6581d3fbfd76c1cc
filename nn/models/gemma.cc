// SPDX-License-Identifier: Apache-2.0
#include "nn/models/gemma.h"

#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/config_values.h"
#include "nn/models/rope_config.h"

namespace inlay {

DecoderPlan gemma_plan(const HfConfig& config, const UsualSizes& defaults) {
  DecoderPlan p = usual_plan(config, defaults, true);
  p.norm = {.kind = NormKind::kRms, .eps = norm_eps(config, "rms_norm_eps", 1e-6)};
  p.embedding_multiplier = static_cast<float>(std::sqrt(static_cast<double>(p.sizes.hidden_size)));
  p.rounds_embedding_multiplier = true;
  return p;
}

LayerPlan gemma_layer(const HfConfig& config, const DecoderPlan& plan, const UsualSizes& defaults) {
  LayerPlan layer;
  layer.mixer_norms = {"input_layernorm", "post_attention_layernorm"};
  layer.mlp = usual_mlp(config, plan, defaults, "gelu_pytorch_tanh", "hidden_activation");
  layer.mlp_norms = {"pre_feedforward_layernorm", "post_feedforward_layernorm"};
  return layer;
}

SelfAttentionPlan gemma_attention(const HfConfig& config, const DecoderPlan& plan,
                                  const UsualSizes& defaults) {
  SelfAttentionPlan a = usual_attention(config, plan, defaults);
  a.qkv_bias = a.o_bias = config.flag("attention_bias", false);
  return a;
}

std::vector<NamePair> gemma_gguf_layer() {
  return {{"input_layernorm", "attn_norm"},
          {"self_attn.q_proj", "attn_q"},
          {"self_attn.k_proj", "attn_k"},
          {"self_attn.v_proj", "attn_v"},
          {"self_attn.o_proj", "attn_output"},
          {"self_attn.q_norm", "attn_q_norm"},
          {"self_attn.k_norm", "attn_k_norm"},
          {"post_attention_layernorm", "post_attention_norm"},
          {"pre_feedforward_layernorm", "ffn_norm"},
          {"mlp.gate_proj", "ffn_gate"},
          {"mlp.up_proj", "ffn_up"},
          {"mlp.down_proj", "ffn_down"},
          {"post_feedforward_layernorm", "post_ffw_norm"}};
}

namespace {

constexpr UsualSizes kGemma2 = {.vocab_size = 256000,
                                .hidden_size = 2304,
                                .intermediate_size = 9216,
                                .layers = 26,
                                .max_positions = 8192,
                                .heads = 8,
                                .kv_heads = 4,
                                .head_dim = 256};
constexpr UsualSizes kGemma3 = {.vocab_size = 262208,
                                .hidden_size = 2304,
                                .intermediate_size = 9216,
                                .layers = 26,
                                .max_positions = 131072,
                                .heads = 8,
                                .kv_heads = 4,
                                .head_dim = 256};
constexpr i64 kWindow = 4096;

// What Gemma 2 and 3 say otherwise than one another.
struct Generation {
  const UsualSizes& sizes;
  i64 full_every;
  double logits_cap;  // 0: none
};

// The layers of a model whose settings of RoPE are those of full layers and, last, of sliding ones.
void add_layers(const HfConfig& config, const Generation& generation, SelfAttentionPlan attention,
                DecoderPlan& p) {
  const double scalar = config.number("query_pre_attn_scalar", 256.0);
  if (!(scalar > 0.0)) {
    config.fail("query_pre_attn_scalar", str("expected a number above 0, found ", scalar));
  }
  attention.scale = static_cast<float>(1.0 / std::sqrt(scalar));
  LayerPlan layer = gemma_layer(config, p, generation.sizes);
  const i64 window = window_of(config, kWindow);
  for (const bool sliding : sliding_layers(config, p.sizes.layers, generation.full_every)) {
    attention.window = sliding ? window : 0;
    attention.rope = sliding ? std::ssize(p.ropes) - 1 : 0;
    layer.mixer = attention;
    p.layers.push_back(layer);
  }
}

DecoderPlan plan_of_generation(const HfConfig& config, const Generation& generation) {
  DecoderPlan p = gemma_plan(config, generation.sizes);
  p.norm.plus_one = true;
  p.logits_softcap = softcap_of(config, "final_logit_softcapping", generation.logits_cap);
  return p;
}

DecoderPlan gemma2_plan(const HfConfig& config) {
  const Generation generation = {kGemma2, 2, 30.0};
  DecoderPlan p = plan_of_generation(config, generation);
  SelfAttentionPlan attention = gemma_attention(config, p, generation.sizes);
  attention.softcap = softcap_of(config, "attn_logit_softcapping", 50.0);
  p.ropes = {
      {parse_rope(config, {.head_dim = attention.head_dim, .max_positions = p.sizes.max_positions}),
       ""}};
  add_layers(config, generation, attention, p);
  return p;
}

DecoderPlan gemma3_plan(const HfConfig& config) {
  const Generation generation = {kGemma3, 6, 0.0};
  DecoderPlan p = plan_of_generation(config, generation);
  SelfAttentionPlan attention = gemma_attention(config, p, generation.sizes);
  attention.qk_norm = HeadNormPlan{.plus_one = true, .eps = p.norm.eps};
  const i64 positions = p.sizes.max_positions;
  const RopeRules full = {.head_dim = attention.head_dim,
                          .max_positions = positions,
                          .layer_type = "full_attention",
                          .theta = 1e6};
  const RopeRules sliding = {.head_dim = attention.head_dim,
                             .max_positions = positions,
                             .layer_type = "sliding_attention",
                             .theta_key = "rope_local_base_freq"};
  p.ropes = {{parse_rope(config, full), ""}, {parse_rope(config, sliding), ""}};
  add_layers(config, generation, attention, p);
  return p;
}

std::vector<std::string> gemma3_notes(const HfConfig& config) {
  if (softcap_of(config, "attn_logit_softcapping", 0.0) == 0.0F) {
    return {};
  }
  return {config.file() +
          ": attn_logit_softcapping is left out: a Gemma 3 does not cap its scores, as in "
          "Transformers"};
}

// The scale of the scores is mostly not in GGUF files; then, as llama.cpp has it, by the size of the
// model.
void write_scale(const GgufKeys& keys, nlohmann::json& c, i64 layers_of_27b) {
  if (const double scale = keys.number("attention.scale", 0.0); scale > 0.0) {
    c["query_pre_attn_scalar"] = 1.0 / (scale * scale);
    return;
  }
  const i64 hidden_size = c["hidden_size"], heads = c["num_attention_heads"];
  c["query_pre_attn_scalar"] = c["num_hidden_layers"] == layers_of_27b
                                   ? hidden_size / std::max<i64>(1, heads)
                                   : c["head_dim"].get<i64>();
}

void more_gemma_gguf(const GgufKeys& keys, nlohmann::json& c) {
  write_gguf_heads(keys, c);
  c["hidden_activation"] = "gelu_pytorch_tanh";
  for (const char* cap : {"attn_logit_softcapping", "final_logit_softcapping"}) {
    if (keys.has(cap)) {
      c[cap] = keys.number(cap);
    }
  }
}

void more_gemma2_gguf(const GgufKeys& keys, nlohmann::json& c) {
  more_gemma_gguf(keys, c);
  write_scale(keys, c, 46);
  write_gguf_window(keys, 2, kWindow, c);
  write_gguf_rope(keys, {.head_dim = c["head_dim"]}, c);
}

void more_gemma3_gguf(const GgufKeys& keys, nlohmann::json& c) {
  more_gemma_gguf(keys, c);
  write_scale(keys, c, 62);
  write_gguf_window(keys, 6, 0, c);
  write_gguf_rope(keys, {.head_dim = c["head_dim"], .sliding_theta = 10000.0}, c);
}

GgufFamily gemma_gguf(const std::string& architecture,
                      void (*more)(const GgufKeys&, nlohmann::json&)) {
  return {.architecture = architecture,
          .settings = usual_gguf_settings("attention.layer_norm_rms_epsilon", "rms_norm_eps"),
          .more_settings = more,
          .in_layer = gemma_gguf_layer(),
          .outside = usual_gguf_outside(),
          .adds_one_to_norms = true};
}

}  // namespace

const Family& gemma2_family() {
  static const Family row = {
      .article = "a Gemma 2",
      .model_types = {"gemma2"},
      .causal_class = "Gemma2ForCausalLM",
      .bare_class = "Gemma2Model",
      .base_prefix = "model.",
      .tied_by_default = true,
      .layers_key = "num_hidden_layers",
      .own_settings = {"query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping",
                       "sliding_window", "layer_types"},
      .plan = gemma2_plan,
      .gguf = gemma_gguf("gemma2", more_gemma2_gguf),
      .default_lora_targets = {"q_proj", "v_proj"},
  };
  return row;
}

const Family& gemma3_text_family() {
  static const Family row = {
      .article = "a Gemma 3",
      .model_types = {"gemma3_text"},
      .causal_class = "Gemma3ForCausalLM",
      .bare_class = "Gemma3TextModel",
      .base_prefix = "model.",
      .tied_by_default = true,
      .layers_key = "num_hidden_layers",
      .own_settings = {"query_pre_attn_scalar", "attn_logit_softcapping", "final_logit_softcapping",
                       "sliding_window", "sliding_window_pattern", "layer_types",
                       "rope_local_base_freq"},
      .plan = gemma3_plan,
      .notes = gemma3_notes,
      .gguf = gemma_gguf("gemma3", more_gemma3_gguf),
      .default_lora_targets = {"q_proj", "v_proj"},
  };
  return row;
}

const Family& gemma3_family() {
  static const Family row =
      text_part_of(gemma3_text_family(), {.article = "a Gemma 3",
                                          .model_type = "gemma3",
                                          .causal_class = "Gemma3ForConditionalGeneration",
                                          .bare_class = "Gemma3Model"});
  return row;
}

}  // namespace inlay
