// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "nn/models/config_values.h"
#include "nn/models/families.h"
#include "nn/models/rope_config.h"
#include "nn/models/usual_parts.h"

/// GPT-NeoX and Pythia (Black et al. 2022, arXiv:2204.06745; Biderman et al. 2023,
/// arXiv:2304.01373): both parts side by side, each behind a LayerNorm of its own; one product for
/// the queries, keys and values of each head.
namespace inlay {
namespace {

constexpr UsualSizes kGptNeox = {.vocab_size = 50432,
                                 .hidden_size = 6144,
                                 .intermediate_size = 24576,
                                 .layers = 44,
                                 .max_positions = 2048,
                                 .heads = 64};

DecoderPlan gpt_neox_plan(const HfConfig& config) {
  DecoderPlan p = usual_plan(config, kGptNeox, false);
  p.norm = {.kind = NormKind::kLayer, .eps = norm_eps(config, "layer_norm_eps", 1e-5)};
  p.embedding_dropout = probability(config, "hidden_dropout", 0.0);
  SelfAttentionPlan attention = usual_attention(config, p, kGptNeox);
  attention.kv_heads = attention.heads;
  attention.qkv = "query_key_value";
  attention.qkv_by_head = true;
  attention.o = "dense";
  attention.qkv_bias = attention.o_bias = config.flag("attention_bias", true);
  p.ropes = {{parse_rope(config, {.head_dim = attention.head_dim,
                                  .max_positions = p.sizes.max_positions,
                                  .theta_key = "rotary_emb_base",
                                  .partial_key = "rotary_pct",
                                  .partial = 0.25}),
              ""}};
  LayerPlan layer;
  layer.mixer_name = "attention";
  layer.mixer = attention;
  layer.mixer_norms.before = "input_layernorm";
  layer.mlp = usual_mlp(config, p, kGptNeox, "gelu");
  ungate(layer.mlp, "dense_h_to_4h", "dense_4h_to_h");
  layer.mlp.bias = true;
  layer.mlp_norms.before = "post_attention_layernorm";
  layer.parallel = config.flag("use_parallel_residual", true);
  layer.residual_dropout = dropout_if_any(config, "hidden_dropout");
  p.layers.assign(p.sizes.layers, layer);
  return p;
}

void more_gpt_neox_gguf(const GgufKeys& keys, nlohmann::json& c) {
  write_gguf_heads(keys, c);
  c["hidden_act"] = "gelu";
  c["attention_bias"] = has_gguf_tensor(keys, "attn_qkv.bias");
  c["use_parallel_residual"] =
      keys.file().find_bool("gptneox.use_parallel_residual").value_or(true);
  write_gguf_rope(keys, {.head_dim = c["head_dim"], .partial = true}, c);
}

}  // namespace

const Family& gpt_neox_family() {
  static const Family row = {
      .article = "a GPT-NeoX",
      .model_types = {"gpt_neox"},
      .causal_class = "GPTNeoXForCausalLM",
      .bare_class = "GPTNeoXModel",
      .base_prefix = "gpt_neox.",
      .names = {.embedding = "gpt_neox.embed_in",
                .layers = "gpt_neox.layers",
                .norm = "gpt_neox.final_layer_norm"},
      .layers_key = "num_hidden_layers",
      .own_settings = {"rotary_pct", "partial_rotary_factor", "use_parallel_residual"},
      .plan = gpt_neox_plan,
      .gguf = GgufFamily{.architecture = "gptneox",
                         .settings =
                             usual_gguf_settings("attention.layer_norm_epsilon", "layer_norm_eps"),
                         .more_settings = more_gpt_neox_gguf,
                         .in_layer = {{"input_layernorm", "attn_norm"},
                                      {"attention.query_key_value", "attn_qkv"},
                                      {"attention.dense", "attn_output"},
                                      {"post_attention_layernorm", "ffn_norm"},
                                      {"mlp.dense_h_to_4h", "ffn_up"},
                                      {"mlp.dense_4h_to_h", "ffn_down"}},
                         .outside = {{"gpt_neox.embed_in", "token_embd"},
                                     {"gpt_neox.final_layer_norm", "output_norm"},
                                     {"lm_head", "output"}},
                         .qkv_by_head = "attention.query_key_value"},
      .default_lora_targets = {"query_key_value"},
      .other_prefixes = {{"lm_head.", "embed_out."}},  // that files have, and before 5 Transformers
  };
  return row;
}

}  // namespace inlay
