// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/config_values.h"
#include "nn/models/experts_config.h"
#include "nn/models/rope_config.h"

/// Qwen3-MoE (Qwen Team 2025, arXiv:2505.09388): Qwen3's layers, of which some or all have a mixture
/// of experts in place of the feed-forward block.
namespace inlay {
namespace {

constexpr i64 kQwenPositions = 32768;

// `mlp_only_layers`: a list of layers without experts, numbers that may be no layer at all.
std::vector<i64> dense_layers(const HfConfig& config) {
  std::vector<i64> layers;
  if (config.has("mlp_only_layers")) {
    for (const double layer : config.numbers("mlp_only_layers")) {
      layers.push_back(static_cast<i64>(layer));
    }
  }
  return layers;
}

DecoderPlan qwen3_moe_plan(const HfConfig& config) {
  DecoderPlan p = mixture_plan(config, 1e-6, kQwenPositions);
  const i64 window = config.flag("use_sliding_window", false) && config.has("sliding_window")
                         ? config.integer("sliding_window")
                         : 0;
  ExpertsPlan experts =
      parse_experts(config, {.width = "moe_intermediate_size", .usual_chosen = 8});
  experts.routing.normalised = config.flag("norm_topk_prob", false);
  MlpPlan mlp;
  mlp.activation = experts.gate.activation;
  mlp.init_std = mlp.down_init_std = p.init_std;
  const std::vector<i64> dense = dense_layers(config);
  const i64 step = config.integer("decoder_sparse_step", 1);
  for (i64 i = 0; i < p.sizes.layers; ++i) {
    LayerPlan& layer = p.layers[i];
    auto& attention = std::get<SelfAttentionPlan>(layer.mixer);
    attention.qk_norm = HeadNormPlan{.eps = p.norm.eps};
    attention.window = window;
    if (std::ranges::find(dense, i) == dense.end() && (i + 1) % step == 0) {
      layer.experts = experts;
    } else {
      layer.mlp = mlp;
      layer.mlp.width = config.integer("intermediate_size");
    }
  }
  const i64 head_dim = std::get<SelfAttentionPlan>(p.layers.front().mixer).head_dim;
  p.ropes = {{parse_rope(config, {.head_dim = head_dim, .max_positions = p.sizes.max_positions}),
              kGgufRopeDivisors}};
  return p;
}

void more_qwen3_moe_gguf(const GgufKeys& keys, nlohmann::json& c) {
  write_gguf_mixture(keys, "moe_intermediate_size", c);
  // Files of this architecture have no key for it: llama.cpp always normalises.
  c["norm_topk_prob"] = true;
}

}  // namespace

const Family& qwen3_moe_family() {
  static const Family row = [] {
    Family family = {
        .article = "a Qwen3-MoE",
        .model_types = {"qwen3_moe"},
        .causal_class = "Qwen3MoeForCausalLM",
        .bare_class = "Qwen3MoeModel",
        .base_prefix = "model.",
        .names = {},
        .layers_key = "num_hidden_layers",
        .own_settings = {"num_experts", "num_local_experts", "sliding_window"},
        .plan = qwen3_moe_plan,
        .gguf = GgufFamily{.architecture = "qwen3moe",
                           .settings = gguf_mixture_settings(),
                           .more_settings = more_qwen3_moe_gguf,
                           .in_layer = gguf_mixture_names("ffn_norm"),
                           .outside = gguf_outside_names()},
    };
    family.gguf->in_layer.push_back({"mlp.gate", "ffn_gate_inp"});
    return family;
  }();
  return row;
}

}  // namespace inlay
