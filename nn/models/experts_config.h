// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>

#include "nn/decoder_plan.h"
#include "nn/models/families.h"
#include "nn/models/hf_config.h"

/// What the families of mixtures of experts have in common.
namespace inlay {

/// Sizes, norms, head and the layers of a pre-norm decoder with grouped-query attention; the
/// feed-forward parts and RoPE are the family's. All layers are alike.
DecoderPlan mixture_plan(const HfConfig& config, double norm_eps, i64 max_positions);

/// The experts of a config: `num_experts` or `num_local_experts` of them, `num_experts_per_tok`
/// chosen, each of the width that `width_key` says.
ExpertsPlan parse_experts(const HfConfig& config, std::string_view width_key, i64 usual_chosen);

/// Adds the settings of a GGUF file that such families share: heads, RoPE, and their experts, whose
/// width becomes `width_key`.
void write_gguf_mixture(const GgufKeys& keys, const char* width_key, nlohmann::json& config);

/// The settings and names that GGUF files of these families share, before their own.
std::vector<GgufSetting> gguf_mixture_settings();
std::vector<NamePair> gguf_mixture_names(std::string_view mlp_norm);
std::vector<NamePair> gguf_outside_names();

}  // namespace inlay
