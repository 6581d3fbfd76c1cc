// SPDX-License-Identifier: Apache-2.0
#include "nn/models/usual_parts.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/config_values.h"

namespace inlay {

DecoderPlan usual_plan(const HfConfig& config, const UsualSizes& defaults, bool tied) {
  DecoderPlan p;
  p.sizes.vocab_size = config.integer("vocab_size", defaults.vocab_size);
  p.sizes.hidden_size = config.integer("hidden_size", defaults.hidden_size);
  p.sizes.layers = config.layers("num_hidden_layers", defaults.layers);
  p.sizes.max_positions = config.integer("max_position_embeddings", defaults.max_positions);
  p.init_std = config.number("initializer_range", defaults.init_std);
  p.tied_head = config.flag("tie_word_embeddings", tied);
  return p;
}

SelfAttentionPlan usual_attention(const HfConfig& config, const DecoderPlan& plan,
                                  const UsualSizes& defaults) {
  SelfAttentionPlan a;
  a.heads = config.integer("num_attention_heads", defaults.heads);
  a.kv_heads =
      config.integer("num_key_value_heads", defaults.kv_heads > 0 ? defaults.kv_heads : a.heads);
  if (a.heads % a.kv_heads != 0) {
    config.fail("num_key_value_heads",
                str(a.kv_heads, " does not divide num_attention_heads, ", a.heads));
  }
  const i64 of_hidden = std::max<i64>(1, plan.sizes.hidden_size / a.heads);
  a.head_dim = config.integer("head_dim", defaults.head_dim > 0 ? defaults.head_dim : of_hidden);
  if (a.head_dim % 2 != 0) {
    config.fail("head_dim", str("expected an even number, found ", a.head_dim));
  }
  a.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(a.head_dim)));
  a.dropout = probability(config, "attention_dropout", 0.0);
  a.rope = 0;
  a.init_std = a.o_init_std = plan.init_std;
  return a;
}

MlpPlan usual_mlp(const HfConfig& config, const DecoderPlan& plan, const UsualSizes& defaults,
                  std::string_view activation, std::string_view key) {
  MlpPlan mlp;
  mlp.width = config.integer("intermediate_size", defaults.intermediate_size);
  mlp.activation = parse_activation(config, key, activation);
  mlp.init_std = mlp.down_init_std = plan.init_std;
  return mlp;
}

void ungate(MlpPlan& mlp, const std::string& up, const std::string& down) {
  mlp.first = up;
  mlp.up = "";
  mlp.down = down;
}

std::vector<bool> sliding_layers(const HfConfig& config, i64 layers, i64 full_every) {
  std::vector<bool> sliding;
  if (!config.has("layer_types")) {
    const i64 every = config.integer("sliding_window_pattern", full_every);
    for (i64 i = 0; i < layers; ++i) {
      sliding.push_back((i + 1) % every != 0);
    }
    return sliding;
  }
  const nlohmann::json& types = config.json()["layer_types"];
  if (!types.is_array() || static_cast<i64>(types.size()) != layers) {
    config.fail("layer_types", str("expected a list of ", layers, ", one a layer"));
  }
  for (const nlohmann::json& type : types) {
    if (type != "sliding_attention" && type != "full_attention") {
      config.fail("layer_types", str("expected \"sliding_attention\" or \"full_attention\", found ",
                                     printable(type.dump())));
    }
    sliding.push_back(type == "sliding_attention");
  }
  return sliding;
}

std::optional<float> dropout_if_any(const HfConfig& config, std::string_view key) {
  const float p = probability(config, key, 0.0);
  return p > 0.0F ? std::optional(p) : std::nullopt;
}

bool says(const HfConfig& config, std::string_view key) {
  return config.json().contains(key);
}

i64 window_of(const HfConfig& config, i64 otherwise) {
  return says(config, "sliding_window") && !config.has("sliding_window")
             ? 0
             : config.integer("sliding_window", otherwise, 0);
}

float softcap_of(const HfConfig& config, std::string_view key, double otherwise) {
  if (says(config, key) && !config.has(key)) {
    return 0.0F;
  }
  const double cap = config.number(key, otherwise);
  if (!(cap >= 0.0)) {
    config.fail(key, str("expected a number from 0, found ", cap));
  }
  return static_cast<float>(cap);
}

std::vector<GgufSetting> usual_gguf_settings(const std::string& gguf_eps,
                                             const std::string& norm_eps) {
  return {{"embedding_length", "hidden_size"},
          {"feed_forward_length", "intermediate_size"},
          {"block_count", "num_hidden_layers"},
          {"attention.head_count", "num_attention_heads"},
          {"context_length", "max_position_embeddings"},
          {gguf_eps, norm_eps, GgufSetting::kNumber}};
}

void write_gguf_heads(const GgufKeys& keys, nlohmann::json& c) {
  const i64 heads = c["num_attention_heads"], hidden_size = c["hidden_size"];
  c["num_key_value_heads"] = keys.integer("attention.head_count_kv", heads);
  const i64 head_dim = keys.integer("attention.key_length", hidden_size / std::max<i64>(1, heads));
  c["head_dim"] = head_dim;
  if (const i64 of_values = keys.integer("attention.value_length", head_dim);
      of_values != head_dim) {
    keys.fail("attention.value_length",
              str("expected the ", head_dim, " of attention.key_length, found ", of_values));
  }
}

bool has_gguf_tensor(const GgufKeys& keys, const std::string& in_layer) {
  return keys.file().find_tensor("blk.0." + in_layer) != nullptr;
}

std::vector<NamePair> usual_gguf_outside() {
  return {{"model.embed_tokens", "token_embd"},
          {"model.norm", "output_norm"},
          {"lm_head", "output"},
          {"rope_freqs", "rope_freqs"}};
}

}  // namespace inlay
