// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/config_values.h"
#include "nn/models/families.h"
#include "nn/models/rope_config.h"

/// The Llama family (Touvron et al. 2023, arXiv:2302.13971, and after): Llama 2 and 3, SmolLM2,
/// TinyLlama. Pre-norm layers, gated feed-forward blocks, RoPE, grouped-query attention.
namespace inlay {
namespace {

constexpr i64 kUsualPositions = 2048;

SelfAttentionPlan llama_attention(const HfConfig& config, i64 hidden_size) {
  SelfAttentionPlan a;
  a.heads = config.integer("num_attention_heads");
  a.kv_heads = config.integer("num_key_value_heads", a.heads);
  if (a.heads % a.kv_heads != 0) {
    config.fail("num_key_value_heads",
                str(a.kv_heads, " does not divide num_attention_heads, ", a.heads));
  }
  a.head_dim = config.integer("head_dim", std::max<i64>(1, hidden_size / a.heads));
  if (a.head_dim % 2 != 0) {
    config.fail("head_dim", str("expected an even number, found ", a.head_dim));
  }
  a.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(a.head_dim)));
  a.dropout = probability(config, "attention_dropout", 0.0);
  a.qkv_bias = a.o_bias = config.flag("attention_bias", false);
  a.rope = 0;
  return a;
}

DecoderPlan llama_plan(const HfConfig& config) {
  DecoderPlan p;
  p.sizes.vocab_size = config.integer("vocab_size");
  p.sizes.hidden_size = config.integer("hidden_size");
  LayerPlan layer;
  layer.mlp.width = config.integer("intermediate_size");
  p.sizes.layers = config.layers("num_hidden_layers");
  SelfAttentionPlan attention = llama_attention(config, p.sizes.hidden_size);
  p.sizes.max_positions = config.integer("max_position_embeddings", kUsualPositions);
  p.norm = {.kind = NormKind::kRms, .eps = norm_eps(config, "rms_norm_eps", 1e-6)};
  p.init_std = config.number("initializer_range", 0.02);
  p.tied_head = config.flag("tie_word_embeddings", false);
  p.ropes = {
      {parse_rope(config, {.head_dim = attention.head_dim, .max_positions = p.sizes.max_positions}),
       kGgufRopeDivisors}};
  attention.init_std = attention.o_init_std = p.init_std;
  layer.mixer = attention;
  layer.mixer_norms.before = "input_layernorm";
  layer.mlp.bias = config.flag("mlp_bias", false);
  layer.mlp.activation = parse_activation(config, "hidden_act", "silu");
  layer.mlp.init_std = layer.mlp.down_init_std = p.init_std;
  layer.mlp_norms.before = "post_attention_layernorm";
  p.layers.assign(p.sizes.layers, layer);
  return p;
}

std::vector<std::string> llama_notes(const HfConfig& config) {
  std::vector<std::string> notes;
  const auto note = [&](const auto&... parts) {
    notes.push_back(str(config.file(), ": ", parts...));
  };
  const auto says = [&](const char* key) {
    const std::optional<HfConfig> group = config.object(key);
    return group && !group->json().empty();
  };
  if (says("rope_scaling") && says("rope_parameters")) {
    note("rope_scaling stands in for all of rope_parameters, as in Transformers; rope_theta is ",
         rope_theta(config));
  }
  const std::optional<HfConfig> group = rope_group(config);
  const HfConfig& place = group && group->has("partial_rotary_factor") ? *group : config;
  if (place.number("partial_rotary_factor", 1.0) != 1.0) {
    note("partial_rotary_factor is left out: a Llama turns whole heads, as in Transformers");
  }
  if (config.flag("use_sliding_window", true) && config.has("sliding_window") &&
      config.number("sliding_window") <
          static_cast<double>(config.integer("max_position_embeddings", kUsualPositions))) {
    note("sliding_window is left out: a Llama attends to all that came before, as in Transformers");
  }
  return notes;
}

void more_llama_gguf(const GgufKeys& keys, nlohmann::json& c) {
  const GgufFile& file = keys.file();
  const i64 heads = c["num_attention_heads"];
  c["num_key_value_heads"] = keys.integer("attention.head_count_kv", heads);
  const i64 hidden_size = c["hidden_size"];
  const i64 head_dim = keys.integer("attention.key_length", hidden_size / std::max<i64>(1, heads));
  c["head_dim"] = head_dim;
  c["hidden_act"] = "silu";
  if (const i64 of_values = keys.integer("attention.value_length", head_dim);
      of_values != head_dim) {
    keys.fail("attention.value_length",
              str("expected the ", head_dim, " of attention.key_length, found ", of_values));
  }
  write_gguf_rope(keys, {.head_dim = head_dim, .yarn_attention_factor = false}, c);
  c["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  c["mlp_bias"] = file.find_tensor("blk.0.ffn_up.bias") != nullptr;
  if (file.find_tensor("blk.0.ffn_gate_inp.weight") != nullptr) {
    throw DataError(file.path() + ": mixture-of-experts models are not supported");
  }
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
      .gguf = GgufFamily{.architecture = "llama",
                         .settings = {{"embedding_length", "hidden_size"},
                                      {"feed_forward_length", "intermediate_size"},
                                      {"block_count", "num_hidden_layers"},
                                      {"attention.head_count", "num_attention_heads"},
                                      {"context_length", "max_position_embeddings"},
                                      {"attention.layer_norm_rms_epsilon", "rms_norm_eps",
                                       GgufSetting::kNumber}},
                         .more_settings = more_llama_gguf,
                         .in_layer = {{"input_layernorm", "attn_norm"},
                                      {"self_attn.q_proj", "attn_q"},
                                      {"self_attn.k_proj", "attn_k"},
                                      {"self_attn.v_proj", "attn_v"},
                                      {"self_attn.o_proj", "attn_output"},
                                      {"post_attention_layernorm", "ffn_norm"},
                                      {"mlp.gate_proj", "ffn_gate"},
                                      {"mlp.up_proj", "ffn_up"},
                                      {"mlp.down_proj", "ffn_down"}},
                         .outside = {{"model.embed_tokens", "token_embd"},
                                     {"model.norm", "output_norm"},
                                     {"lm_head", "output"},
                                     {"rope_freqs", "rope_freqs"}},
                         .permutes_rope_rows = true},
      .default_lora_targets = {"q_proj", "v_proj"},
  };
  return row;
}

}  // namespace inlay
