// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nn/models/hf_config.h"
#include "nn/rotary.h"

namespace inlay {

/// The key of config.json under which a GGUF file's rotary settings stand that `rope_parameters`
/// has no words for: `extrapolation_factor` and `attention_factor`, as llama.cpp uses them. Only in
/// memory, never in a file.
inline constexpr const char* kGgufRopeKey = "gguf_rope";
/// The tensor of a GGUF file, by the name it is asked for, that divides the frequencies one by one:
/// how such files keep Llama 3's scaling.
inline constexpr const char* kGgufRopeDivisors = "rope_freqs.weight";

/// What a family says of its RoPE, beside what config.json does. A row of a family asks so:
///
///   Llama and most others:   parse_rope(config, {.head_dim = d, .max_positions = n})
///   another base by default (ERNIE 4.5, SmolLM3):   .theta = 500000.0
///   the first part of a head turns (Phi-3, GLM-4, StableLM, Nemotron):   .partial = 0.5
///     with other names (GPT-NeoX):   .theta_key = "rotary_emb_base",
///                                    .partial_key = "rotary_pct", .partial = 0.25
///   pairs (2k, 2k + 1) (GLM-4, Cohere 2, ERNIE 4.5):   .order = RopePairs::kInterleaved
///   the other direction (nanochat):   .backwards = true
///   type "dynamic" with `alpha` (Hunyuan):   .ntk_alpha = true
///   "su" and "yarn" read as longrope, and nothing else (Phi-3):   .longrope_alone = true
///   queries that grow by `llama_4_scaling_beta` (Ministral 3):   .query_growth = true
///   settings when the file has none (gpt-oss, Ministral 3):
///     parse_rope(with_rope_parameters(config, {{"rope_type", "yarn"}, ...}), ...)
///   a setting for each type of layer, in plan.ropes one after the other, and the number of a
///   layer's in its SelfAttentionPlan::rope:
///     Gemma 3:   {.layer_type = "sliding_attention", .theta_key = "rope_local_base_freq"} and
///                {.layer_type = "full_attention", .theta = 1e6}
///     OLMo 3:    {.layer_type = "sliding_attention", .theta_key = "", .theta = 500000.0} and
///                {.layer_type = "full_attention", .theta = 500000.0}
///     Gemma 4:   as these, each with the head_dim of its type
///   layers without RoPE (SmolLM3, Cohere 2, EXAONE 4): those whose SelfAttentionPlan::rope is
///   empty; for `no_rope_layers`, layers_with_rope
///
/// A row names the keys that it reads here and that are not every family's among its own_settings.
struct RopeRules {
  i64 head_dim = 64;
  i64 max_positions = 0;  // max_position_embeddings
  /// The settings are rope_parameters/<layer_type>, one object a type of layer. Transformers 4
  /// wrote those of "full_attention" as one rope_scaling, and had bases in two keys beside it.
  std::string layer_type = "";
  /// The base where the settings have none: this key beside them (empty: no such key), else this.
  std::string theta_key = "rope_theta";
  double theta = 10000.0;
  /// The share of a head that turns, likewise. Without a default heads turn whole, and
  /// partial_rotary_factor is passed over, as in Transformers.
  std::string partial_key = "partial_rotary_factor";
  std::optional<double> partial = {};
  bool ntk_alpha = false;
  bool longrope_alone = false;
  bool query_growth = false;
  RopePairs order = RopePairs::kHalves;
  bool backwards = false;
};

/// The rotary settings of config.json in the spellings of Transformers 4 (rope_theta, rope_scaling)
/// and 5 (rope_parameters). A key of the group goes before the same key beside it, but for
/// original_max_position_embeddings, where the outer one does. Throws DataError for settings that
/// are missing, of the wrong type or beyond what inlay computes.
RopeConfig parse_rope(const HfConfig& config, const RopeRules& rules);

/// The object that holds the rotary settings, as Transformers 5.24 chooses it: a rope_scaling that
/// is not empty stands in for rope_parameters as a whole, else rope_parameters; nothing when
/// neither is there.
std::optional<HfConfig> rope_group(const HfConfig& config);

/// The base of the angles of a family without layer types: the group's rope_theta, else the one
/// beside it, else 10000.
double rope_theta(const HfConfig& config);

/// The values of `rope_type` there are.
std::vector<std::string> rope_types();

/// The config with these `rope_parameters` where it has none.
HfConfig with_rope_parameters(const HfConfig& config, const nlohmann::json& rope_parameters);

/// Which of `layers` layers have RoPE, by `no_rope_layers`, whose 1 means RoPE and 0 none, else by
/// `no_rope_layer_interval` n: all but each n-th.
std::vector<bool> layers_with_rope(const HfConfig& config, i64 layers, i64 interval);

/// Llama 3's scaling in the words of config.json, from the divisors of the frequencies that GGUF
/// files have in its place; nothing when the divisors are not those of any such scaling.
std::optional<nlohmann::json> llama3_parameters(double theta, std::span<const float> divisors);

}  // namespace inlay
