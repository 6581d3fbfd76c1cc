// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string_view>
#include <vector>

#include "nn/decoder_plan.h"
#include "nn/models/families.h"
#include "nn/models/hf_config.h"

/// What the families of mixtures of experts have in common.
namespace inlay {

/// Sizes, norms, head and the layers of a pre-norm decoder with grouped-query attention; the
/// feed-forward parts and RoPE are the family's. All layers are alike.
DecoderPlan mixture_plan(const HfConfig& config, double norm_eps, i64 max_positions);

/// What a family calls the width of an expert, and the number of those that are chosen, and what is
/// meant where the config does not say how many there are, and are chosen.
struct ExpertKeys {
  std::string_view width = "intermediate_size";
  std::string_view chosen = "num_experts_per_tok";
  std::optional<i64> usual_experts = {};
  std::optional<i64> usual_chosen = {};
};
/// The experts of a config: `num_experts` or `num_local_experts` of them, gated by `hidden_act`.
ExpertsPlan parse_experts(const HfConfig& config, const ExpertKeys& keys);
/// Files have each projection as one tensor of all experts, as it is in memory.
void stack_experts(ExpertsPlan& plan);

/// Adds the settings of a GGUF file that such families share: heads, RoPE, and their experts, whose
/// width becomes `width_key`.
void write_gguf_mixture(const GgufKeys& keys, const char* width_key, nlohmann::json& config);

/// The settings and names that GGUF files of these families share, before their own.
std::vector<GgufSetting> gguf_mixture_settings();
std::vector<NamePair> gguf_mixture_names(std::string_view mlp_norm);
std::vector<NamePair> gguf_outside_names();

}  // namespace inlay
