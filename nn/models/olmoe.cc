// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/config_values.h"
#include "nn/models/experts_config.h"
#include "nn/models/rope_config.h"

/// OLMoE (Muennighoff et al. 2024, arXiv:2409.02060): experts in every layer, whose weights need not
/// sum to one; queries and keys normed before they are split into heads, and held in bounds.
namespace inlay {
namespace {

constexpr i64 kOlmoePositions = 4096;

DecoderPlan olmoe_plan(const HfConfig& config) {
  DecoderPlan p = mixture_plan(config, 1e-5, kOlmoePositions);
  ExpertsPlan experts = parse_experts(config, {.usual_chosen = 8});
  experts.routing.normalised = config.flag("norm_topk_prob", false);
  const double clip = config.number("clip_qkv", 0.0);
  if (clip < 0.0) {
    config.fail("clip_qkv", str("expected a bound above 0, found ", clip));
  }
  for (LayerPlan& layer : p.layers) {
    auto& attention = std::get<SelfAttentionPlan>(layer.mixer);
    attention.qk_norm = HeadNormPlan{.weights = HeadNormPlan::kWhole, .eps = p.norm.eps};
    attention.clip_qkv = static_cast<float>(clip);
    layer.experts = experts;
  }
  const i64 head_dim = std::get<SelfAttentionPlan>(p.layers.front().mixer).head_dim;
  p.ropes = {{parse_rope(config, {.head_dim = head_dim, .max_positions = p.sizes.max_positions}),
              kGgufRopeDivisors}};
  return p;
}

void more_olmoe_gguf(const GgufKeys& keys, nlohmann::json& c) {
  write_gguf_mixture(keys, "intermediate_size", c);
  if (keys.has("attention.clamp_kqv")) {
    c["clip_qkv"] = keys.number("attention.clamp_kqv");
  }
  c["norm_topk_prob"] = false;  // no key for it: llama.cpp never normalises here
}

}  // namespace

const Family& olmoe_family() {
  static const Family row = [] {
    Family family = {
        .article = "an OLMoE",
        .model_types = {"olmoe"},
        .causal_class = "OlmoeForCausalLM",
        .bare_class = "OlmoeModel",
        .base_prefix = "model.",
        .names = {},
        .layers_key = "num_hidden_layers",
        .own_settings = {"num_experts", "num_local_experts", "clip_qkv"},
        .plan = olmoe_plan,
        .gguf = GgufFamily{.architecture = "olmoe",
                           .settings = gguf_mixture_settings(),
                           .more_settings = more_olmoe_gguf,
                           .in_layer = gguf_mixture_names("ffn_norm"),
                           .outside = gguf_outside_names()},
    };
    family.gguf->in_layer.push_back({"mlp.gate", "ffn_gate_inp"});
    return family;
  }();
  return row;
}

}  // namespace inlay
