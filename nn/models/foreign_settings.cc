// SPDX-License-Identifier: Apache-2.0
#include "nn/models/foreign_settings.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"

namespace inlay {
namespace {

// Numbers, with the value that changes nothing.
constexpr std::pair<std::string_view, double> kNumbers[] = {
    // factors of Granite, Cohere, Falcon-H1, MiniCPM and HRM
    {"embedding_multiplier", 1.0},
    {"residual_multiplier", 1.0},
    {"logits_scaling", 1.0},
    {"logit_scale", 1.0},
    {"lm_head_multiplier", 1.0},
    {"key_multiplier", 1.0},
    {"attention_in_multiplier", 1.0},
    {"attention_out_multiplier", 1.0},
    {"ssm_in_multiplier", 1.0},
    {"ssm_out_multiplier", 1.0},
    {"embedding_scale", 1.0},
    {"scale_emb", 1.0},
    // bounds of Gemma, OLMo and gpt-oss
    {"attn_logit_softcapping", 0.0},
    {"final_logit_softcapping", 0.0},
    {"clip_qkv", 0.0},
    {"swiglu_limit", 0.0},
    // which keys a query sees, and how much of a head turns
    {"sliding_window", 0.0},
    {"sliding_window_pattern", 0.0},
    {"partial_rotary_factor", 1.0},
    {"rotary_pct", 1.0},
    // experts
    {"num_local_experts", 0.0},
    {"num_experts", 0.0},
    {"n_routed_experts", 0.0},
    {"moe_num_experts", 0.0},
    {"n_shared_experts", 0.0},
    {"num_shared_experts", 0.0},
    {"shared_expert_intermediate_size", 0.0},
    {"shared_intermediate_size", 0.0},
    // DeepSeek's latent attention, Gemma's shared keys and inputs of each layer
    {"q_lora_rank", 0.0},
    {"kv_lora_rank", 0.0},
    {"num_kv_shared_layers", 0.0},
    {"hidden_size_per_layer_input", 0.0},
};

// Flags, with the value that changes nothing.
constexpr std::pair<std::string_view, bool> kFlags[] = {
    {"use_qk_norm", false},
    {"qk_norm", false},
    {"qk_layernorm", false},
    {"parallel_attn", false},
    {"use_parallel_residual", false},
    {"parallel_residual", false},
    {"new_decoder_architecture", false},
    {"apply_residual_connection_post_layernorm", false},
    {"use_post_norm", false},
    {"alibi", false},
    {"rope_interleaved", false},
    {"rope_interleave", false},
    {"use_bidirectional_attention", false},
    {"add_cross_attention", false},
    {"attention_k_eq_v", false},
    {"scale_embedding", false},
    {"mup_enabled", false},
    {"enable_moe_block", false},
    {"use_double_wide_mlp", false},
    {"scale_attn_by_inverse_layer_idx", false},
    {"scale_attn_weights", true},
    {"is_causal", true},
};

// What each layer is; a list that says the usual for all of them changes nothing.
const std::vector<std::pair<std::string_view, nlohmann::json>>& lists() {
  static const std::vector<std::pair<std::string_view, nlohmann::json>> table = {
      {"layer_types", "full_attention"},
      {"mlp_layer_types", "dense"},
      {"layers_block_type", "attention"},
      {"no_rope_layers", 1},
  };
  return table;
}

// Settings that no value makes usual but none at all, of Mamba, delta-rule and convolution mixers
// and of rotary angles that differ by layer.
constexpr std::string_view kWhole[] = {
    "mamba_d_state",    "mamba_expand",     "ssm_multipliers",
    "mlp_multipliers",  "conv_L_cache",     "linear_conv_kernel_dim",
    "full_attn_idxs",   "attn_config",      "attn_layer_indices",
    "layer_rope_theta", "altup_num_inputs", "rope_local_base_freq",
    "laurel_rank",      "per_layer_config", "activation_sparsity_pattern",
};

class Refuser {
 public:
  Refuser(const HfConfig& config, const Family& family) : config_(config), family_(family) {}

  void number(std::string_view key, double usual) const {
    if (own(key)) {
      return;
    }
    const double value = config_.number(key, usual);
    if (std::abs(value - usual) > 1e-6 * std::max(1.0, usual)) {  // files round factors
      config_.fail(key, str(value, no_such_setting()));
    }
  }

  void flag(std::string_view key, bool usual) const {
    if (!own(key) && config_.flag(key, usual) != usual) {
      config_.fail(key, usual ? "false is not supported" : "true is not supported");
    }
  }

  void list(std::string_view key, const nlohmann::json& usual) const {
    if (own(key) || !config_.has(key)) {
      return;
    }
    const nlohmann::json& values = config_.json()[key];
    const auto is_usual = [&](const nlohmann::json& x) { return x == usual; };
    if (!values.is_array() || !std::ranges::all_of(values, is_usual)) {
      config_.fail(key, "layers that differ from one another are not supported");
    }
  }

  void whole(std::string_view key) const {
    if (own(key) || !config_.has(key)) {
      return;
    }
    const nlohmann::json& value = config_.json()[key];
    const bool nothing = value == false || value == 0 || (value.is_structured() && value.empty());
    if (!nothing) {
      config_.fail(key, str(printable(value.dump(), 60), no_such_setting()));
    }
  }

 private:
  bool own(std::string_view key) const {
    return std::ranges::find(family_.own_settings, key) != family_.own_settings.end();
  }
  std::string no_such_setting() const {
    return str(" is not supported: ", family_.article, " has no such setting");
  }

  const HfConfig& config_;
  const Family& family_;
};

}  // namespace

void refuse_foreign_settings(const HfConfig& config, const Family& family,
                             const DecoderPlan& plan) {
  const Refuser refuse(config, family);
  for (const auto& [key, usual] : kNumbers) {
    refuse.number(key, usual);
  }
  // Two ways to give the scale of the scores; either may say what it is anyway.
  if (const auto* attention = std::get_if<SelfAttentionPlan>(&plan.layers.front().mixer)) {
    const double scale = static_cast<double>(attention->scale);
    refuse.number("attention_multiplier", scale);
    refuse.number("query_pre_attn_scalar", 1.0 / (scale * scale));
  }
  for (const auto& [key, usual] : kFlags) {
    refuse.flag(key, usual);
  }
  for (const auto& [key, usual] : lists()) {
    refuse.list(key, usual);
  }
  for (const std::string_view key : kWhole) {
    refuse.whole(key);
  }
}

}  // namespace inlay
