// SPDX-License-Identifier: Apache-2.0
#include "nn/models/llama_like.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/config_values.h"

namespace inlay {
namespace {

SelfAttentionPlan llama_like_attention(const HfConfig& config, i64 hidden_size,
                                       const LlamaLike& family) {
  SelfAttentionPlan a;
  a.heads = config.integer("num_attention_heads");
  a.kv_heads = config.integer_or_null("num_key_value_heads", family.kv_heads).value_or(a.heads);
  if (a.heads % a.kv_heads != 0) {
    config.fail("num_key_value_heads",
                str(a.kv_heads, " does not divide num_attention_heads, ", a.heads));
  }
  a.head_dim = config.integer_or_null("head_dim", family.head_dim)
                   .value_or(std::max<i64>(1, hidden_size / a.heads));
  if (a.head_dim % 2 != 0) {
    config.fail("head_dim", str("expected an even number, found ", a.head_dim));
  }
  a.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(a.head_dim)));
  if (family.attention_dropout) {
    a.dropout = probability(config, "attention_dropout", 0.0);
  }
  if (!family.attention_bias.empty()) {
    a.qkv_bias = a.o_bias = config.flag(family.attention_bias, false);
  }
  a.rope = 0;
  return a;
}

}  // namespace

DecoderPlan llama_like_plan(const HfConfig& config, const LlamaLike& family) {
  DecoderPlan p;
  p.sizes.vocab_size = config.integer("vocab_size");
  p.sizes.hidden_size = config.integer("hidden_size");
  LayerPlan layer;
  layer.mlp.width = config.integer("intermediate_size");
  p.sizes.layers = config.layers("num_hidden_layers");
  SelfAttentionPlan attention = llama_like_attention(config, p.sizes.hidden_size, family);
  p.sizes.max_positions = config.integer("max_position_embeddings", family.max_positions);
  p.norm = {.kind = NormKind::kRms, .eps = norm_eps(config, "rms_norm_eps", family.eps)};
  p.init_std = config.number("initializer_range", 0.02);
  p.tied_head = config.flag("tie_word_embeddings", family.tied);
  RopeRules rope = family.rope;
  rope.head_dim = attention.head_dim;
  rope.max_positions = p.sizes.max_positions;
  p.ropes = {{parse_rope(config, rope), kGgufRopeDivisors}};
  attention.init_std = attention.o_init_std = p.init_std;
  layer.mixer = attention;
  layer.mixer_norms.before = "input_layernorm";
  layer.mlp.bias = !family.mlp_bias.empty() && config.flag(family.mlp_bias, false);
  layer.mlp.activation = parse_activation(config, "hidden_act", "silu");
  layer.mlp.init_std = layer.mlp.down_init_std = p.init_std;
  layer.mlp_norms.before = "post_attention_layernorm";
  p.layers.assign(p.sizes.layers, layer);
  return p;
}

void norm_behind(LayerPlan& layer) {
  layer.mixer_norms = {.before = "", .after = "post_attention_layernorm"};
  layer.mlp_norms = {.before = "", .after = "post_feedforward_layernorm"};
}

std::vector<std::string> layer_types(const HfConfig& config, i64 layers,
                                     const std::vector<std::string>& known,
                                     const std::function<std::string(i64 layer)>& otherwise) {
  constexpr const char* kKey = "layer_types";
  std::vector<std::string> types;
  if (!config.has(kKey)) {
    for (i64 i = 0; i < layers; ++i) {
      types.push_back(otherwise(i));
    }
    return types;
  }
  types = config.texts(kKey);
  if (std::ssize(types) != layers) {
    config.fail(kKey, str("expected ", layers, " types, one a layer, found ", types.size()));
  }
  for (const std::string& type : types) {
    if (std::ranges::find(known, type) == known.end()) {
      std::string all;
      for (const std::string& name : known) {
        all += str(all.empty() ? "" : ", ", name);
      }
      config.fail(kKey, str("\"", printable(type), "\" is not supported (", all, " are)"));
    }
  }
  return types;
}

void set_windows(const HfConfig& config, const std::vector<std::string>& types,
                 std::optional<i64> window, DecoderPlan& plan) {
  for (std::size_t i = 0; i < types.size(); ++i) {
    if (types[i] == kSlidingAttention) {
      if (!window) {
        config.fail("sliding_window", str("missing: layer ", i, " is of sliding_attention"));
      }
      attention_of(plan.layers[i]).window = *window;
    }
  }
}

std::vector<std::string> llama_like_notes(const HfConfig& config) {
  std::vector<std::string> notes;
  const auto says = [&](const char* key) {
    const std::optional<HfConfig> group = config.object(key);
    return group && !group->json().empty();
  };
  if (says("rope_scaling") && says("rope_parameters")) {
    notes.push_back(str(config.file(),
                        ": rope_scaling stands in for all of rope_parameters, as in Transformers; "
                        "rope_theta is ",
                        rope_theta(config)));
  }
  const std::optional<HfConfig> group = rope_group(config);
  const HfConfig& place = group && group->has("partial_rotary_factor") ? *group : config;
  if (place.number("partial_rotary_factor", 1.0) != 1.0) {
    notes.push_back(str(config.file(), ": partial_rotary_factor is left out: ",
                        family_of(config).article, " turns whole heads, as in Transformers"));
  }
  return notes;
}

GgufFamily llama_like_gguf(const std::string& architecture,
                           void (*more_settings)(const GgufKeys& keys, nlohmann::json& config),
                           const std::vector<NamePair>& more) {
  GgufFamily g;
  g.architecture = architecture;
  g.settings = {
      {"embedding_length", "hidden_size"},
      {"feed_forward_length", "intermediate_size"},
      {"block_count", "num_hidden_layers"},
      {"attention.head_count", "num_attention_heads"},
      {"context_length", "max_position_embeddings"},
      {"attention.layer_norm_rms_epsilon", "rms_norm_eps", GgufSetting::kNumber},
  };
  g.more_settings = more_settings;
  g.in_layer = more;  // the first that fits counts
  const std::vector<NamePair> usual = {
      {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn_q"},
      {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
      {"self_attn.o_proj", "attn_output"}, {"post_attention_layernorm", "ffn_norm"},
      {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
      {"mlp.down_proj", "ffn_down"},
  };
  g.in_layer.insert(g.in_layer.end(), usual.begin(), usual.end());
  g.outside = {
      {"model.embed_tokens", "token_embd"},
      {"model.norm", "output_norm"},
      {"lm_head", "output"},
      {"rope_freqs", "rope_freqs"},
  };
  return g;
}

void llama_like_gguf_settings(const GgufKeys& keys, GgufRopeRules rope, nlohmann::json& c) {
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
  rope.head_dim = head_dim;
  write_gguf_rope(keys, rope, c);
  c["attention_bias"] = file.find_tensor("blk.0.attn_q.bias") != nullptr;
  c["mlp_bias"] = file.find_tensor("blk.0.ffn_up.bias") != nullptr;
  if (file.find_tensor("blk.0.ffn_gate_inp.weight") != nullptr) {
    throw DataError(file.path() + ": mixture-of-experts models are not supported");
  }
}

void write_gguf_windows(const GgufKeys& keys, nlohmann::json& config) {
  const i64 window = keys.integer("attention.sliding_window", 0);
  if (window == 0) {
    config["sliding_window"] = nullptr;
    return;
  }
  config["sliding_window"] = window;
  const auto pattern = keys.integers("attention.sliding_window_pattern");
  if (!pattern) {
    return;
  }
  nlohmann::json& types = config["layer_types"] = nlohmann::json::array();
  for (const i64 sliding : *pattern) {
    types.push_back(sliding != 0 ? kSlidingAttention : kFullAttention);
  }
}

}  // namespace inlay
