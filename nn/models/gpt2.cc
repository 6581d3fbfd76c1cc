// SPDX-License-Identifier: Apache-2.0
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/config_values.h"
#include "nn/models/families.h"

/// GPT-2 (Radford et al. 2019): learned positions, layer norms with bias, one product for q, k and
/// v, weights kept [in, out] (Conv1D), head tied to the embedding.
namespace inlay {
namespace {

const DecoderNames& gpt2_names() {
  static const DecoderNames table = {.embedding = "transformer.wte",
                                     .positions = "transformer.wpe",
                                     .layers = "transformer.h",
                                     .norm = "transformer.ln_f"};
  return table;
}

SelfAttentionPlan gpt2_attention(const HfConfig& config, i64 n_embd) {
  SelfAttentionPlan a;
  a.heads = a.kv_heads = config.integer("n_head", 12);
  if (n_embd % a.heads != 0) {
    config.fail("n_head", str(a.heads, " does not divide n_embd, ", n_embd));
  }
  a.head_dim = n_embd / a.heads;
  a.dropout = probability(config, "attn_pdrop", 0.1);
  a.qkv = "c_attn";
  a.o = "c_proj";
  a.qkv_bias = a.o_bias = true;
  a.layout = WeightLayout::kInOut;
  return a;
}

MlpPlan gpt2_mlp(const HfConfig& config, i64 n_embd) {
  MlpPlan mlp;
  mlp.width = config.integer("n_inner", 4 * n_embd);
  mlp.activation = parse_activation(config, "activation_function", "gelu_new");
  mlp.bias = true;
  mlp.layout = WeightLayout::kInOut;
  mlp.first = "c_fc";
  mlp.up = "";
  mlp.down = "c_proj";
  return mlp;
}

// Of the scores of one layer.
float gpt2_attention_scale(const HfConfig& config, i64 head_dim, i64 layer) {
  const bool scaled = config.flag("scale_attn_weights", true);
  double scale = scaled ? 1.0 / std::sqrt(static_cast<double>(head_dim)) : 1.0;
  if (config.flag("scale_attn_by_inverse_layer_idx", false)) {
    scale /= static_cast<double>(layer + 1);
  }
  return static_cast<float>(scale);
}

DecoderPlan gpt2_plan(const HfConfig& config) {
  DecoderPlan p;
  p.names = gpt2_names();
  p.sizes = {.vocab_size = config.integer("vocab_size", 50257),
             .hidden_size = config.integer("n_embd", 768),
             .layers = config.layers("n_layer", 12),
             .max_positions = config.integer("n_positions", 1024),
             .hard_limit = true};
  p.norm = {.kind = NormKind::kLayer, .eps = norm_eps(config, "layer_norm_epsilon", 1e-5)};
  p.init_std = config.number("initializer_range", 0.02);
  p.tied_head = config.flag("tie_word_embeddings", true);
  p.embedding_dropout = probability(config, "embd_pdrop", 0.1);
  config.refuse_flag("add_cross_attention");
  SelfAttentionPlan attention = gpt2_attention(config, p.sizes.hidden_size);
  LayerPlan layer;
  layer.mixer_name = "attn";
  layer.mixer_norms.before = "ln_1";
  layer.mlp = gpt2_mlp(config, p.sizes.hidden_size);
  layer.mlp_norms.before = "ln_2";
  layer.residual_dropout = probability(config, "resid_pdrop", 0.1);
  // The two products that write to the residual stream start smaller: 2 * n_layer of them add up
  // (GPT-2, section 2.3).
  const double shrunk = p.init_std * (1.0 / std::sqrt(2.0 * static_cast<double>(p.sizes.layers)));
  attention.init_std = layer.mlp.init_std = p.init_std;
  attention.o_init_std = layer.mlp.down_init_std = shrunk;
  for (i64 l = 0; l < p.sizes.layers; ++l) {
    attention.scale = gpt2_attention_scale(config, attention.head_dim, l);
    layer.mixer = attention;
    p.layers.push_back(layer);
  }
  return p;
}

void more_gpt2_gguf(const GgufKeys& /*keys*/, nlohmann::json& c) {
  c["activation_function"] = "gelu_new";
  // The file does not say what the model was trained with.
  c["attn_pdrop"] = c["resid_pdrop"] = c["embd_pdrop"] = 0.0;
}

}  // namespace

const Family& gpt2_family() {
  static const Family row = {
      .article = "a GPT-2",
      .model_types = {"gpt2"},
      .causal_class = "GPT2LMHeadModel",
      .bare_class = "GPT2Model",
      .base_prefix = "transformer.",
      .names = gpt2_names(),
      .tied_by_default = true,
      .layers_key = "n_layer",
      .own_settings = {"add_cross_attention", "scale_attn_weights",
                       "scale_attn_by_inverse_layer_idx"},
      .plan = gpt2_plan,
      .gguf = GgufFamily{.architecture = "gpt2",
                         .settings = {{"embedding_length", "n_embd"},
                                      {"feed_forward_length", "n_inner"},
                                      {"block_count", "n_layer"},
                                      {"attention.head_count", "n_head"},
                                      {"context_length", "n_positions"},
                                      {"attention.layer_norm_epsilon", "layer_norm_epsilon",
                                       GgufSetting::kNumber}},
                         .more_settings = more_gpt2_gguf,
                         .in_layer = {{"ln_1", "attn_norm"},
                                      {"attn.c_attn", "attn_qkv"},
                                      {"attn.c_proj", "attn_output"},
                                      {"ln_2", "ffn_norm"},
                                      {"mlp.c_fc", "ffn_up"},
                                      {"mlp.c_proj", "ffn_down"}},
                         .outside = {{"transformer.wte", "token_embd"},
                                     {"transformer.wpe", "position_embd"},
                                     {"transformer.ln_f", "output_norm"},
                                     {"lm_head", "output"}}},
      .default_token_id = 50256,
      .default_lora_targets = {"c_attn"},
  };
  return row;
}

}  // namespace inlay
