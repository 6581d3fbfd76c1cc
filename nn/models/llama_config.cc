// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <string>
#include <utility>

#include "core/error.h"
#include "nn/models/llama.h"

namespace inlay {
namespace {

kernels::Activation activation(const HfConfig& config) {
  constexpr std::pair<const char*, kernels::Activation> kNames[] = {
      {"silu", kernels::Activation::kSilu},
      {"swish", kernels::Activation::kSilu},
      {"gelu", kernels::Activation::kGelu},
      {"gelu_new", kernels::Activation::kGeluTanh},
      {"gelu_pytorch_tanh", kernels::Activation::kGeluTanh},
  };
  const std::string name = config.text("hidden_act", "silu");
  std::string known;
  for (const auto& [key, value] : kNames) {
    if (name == key) {
      return value;
    }
    known += str(known.empty() ? "" : ", ", key);
  }
  config.fail("hidden_act", str("\"", printable(name), "\" is not supported (", known, " are)"));
}

// Whether a list says `usual` for every layer.
bool alike(const nlohmann::json& list, const nlohmann::json& usual) {
  return list.is_array() &&
         std::ranges::all_of(list, [&](const nlohmann::json& x) { return x == usual; });
}

// Settings of relatives of Llama that change the arithmetic. Transformers' Llama passes them over,
// so a model that has them is not what its config calls it.
void refuse_foreign_settings(const HfConfig& config, const LlamaConfig& c) {
  const double head_dim = static_cast<double>(c.head_dim);
  const std::pair<const char*, double> numbers[] = {
      {"embedding_multiplier", 1.0},
      {"residual_multiplier", 1.0},
      {"logits_scaling", 1.0},
      {"logit_scale", 1.0},
      {"attention_multiplier", 1.0 / std::sqrt(head_dim)},
      {"query_pre_attn_scalar", head_dim},
      {"attn_logit_softcapping", 0.0},
      {"final_logit_softcapping", 0.0},
      {"clip_qkv", 0.0},
      {"num_local_experts", 0.0},
      {"num_experts", 0.0},
      {"n_routed_experts", 0.0},
  };
  for (const auto& [key, neutral] : numbers) {
    const double value = config.number(key, neutral);
    if (std::abs(value - neutral) > 1e-6 * std::max(1.0, neutral)) {
      config.fail(key, str(value, " is not supported: a Llama has no such setting"));
    }
  }
  for (const char* key : {"use_qk_norm", "qk_norm", "parallel_attn", "use_parallel_residual",
                          "parallel_residual", "alibi", "use_bidirectional_attention"}) {
    config.refuse_flag(key);
  }
  if (!config.flag("is_causal", true)) {
    config.fail("is_causal", "false is not supported");
  }
  const std::pair<const char*, nlohmann::json> lists[] = {{"layer_types", "full_attention"},
                                                          {"no_rope_layers", 1}};
  for (const auto& [key, usual] : lists) {
    if (config.has(key) && !alike(config.json()[key], usual)) {
      config.fail(key, "layers that differ from one another are not supported");
    }
  }
}

}  // namespace

LlamaConfig parse_llama_config(const HfConfig& config) {
  LlamaConfig c;
  c.vocab_size = config.integer("vocab_size");
  c.hidden_size = config.integer("hidden_size");
  c.intermediate_size = config.integer("intermediate_size");
  c.num_hidden_layers = config.layers("num_hidden_layers");
  c.num_attention_heads = config.integer("num_attention_heads");
  c.num_key_value_heads = config.integer("num_key_value_heads", c.num_attention_heads);
  if (c.num_attention_heads % c.num_key_value_heads != 0) {
    config.fail("num_key_value_heads",
                str(c.num_key_value_heads, " does not divide num_attention_heads, ",
                    c.num_attention_heads));
  }
  c.head_dim = config.integer("head_dim", std::max<i64>(1, c.hidden_size / c.num_attention_heads));
  if (c.head_dim % 2 != 0) {
    config.fail("head_dim", str("expected an even number, found ", c.head_dim));
  }
  c.max_position_embeddings = config.integer("max_position_embeddings", 2048);
  c.rms_norm_eps = config.number("rms_norm_eps", 1e-6);
  if (!(c.rms_norm_eps >= 0.0)) {
    config.fail("rms_norm_eps", str("expected a number from 0, found ", c.rms_norm_eps));
  }
  c.initializer_range = config.number("initializer_range", 0.02);
  c.attention_dropout = config.number("attention_dropout", 0.0);
  if (!(c.attention_dropout >= 0.0 && c.attention_dropout < 1.0)) {
    config.fail("attention_dropout",
                str("expected a probability in [0, 1), found ", c.attention_dropout));
  }
  c.attention_bias = config.flag("attention_bias", false);
  c.mlp_bias = config.flag("mlp_bias", false);
  c.tie_word_embeddings = config.flag("tie_word_embeddings", false);
  c.activation = activation(config);
  c.rope = parse_rope(config, c.head_dim, c.max_position_embeddings);
  if (c.rope.rotary_dim != c.head_dim) {
    // Transformers' Llama has no word for it: without a scaling it turns whole heads, with one its
    // shapes do not fit.
    if (c.rope.type != RopeType::kDefault) {
      config.fail("partial_rotary_factor", "a Llama turns whole heads");
    }
    c.rope.rotary_dim = c.head_dim;
  }
  refuse_foreign_settings(config, c);
  return c;
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
          static_cast<double>(config.integer("max_position_embeddings", 2048))) {
    note("sliding_window is left out: a Llama attends to all that came before, as in Transformers");
  }
  return notes;
}

}  // namespace inlay
