// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "nn/models/llama_like.h"

/// Hunyuan, the dense models: a Llama whose queries and keys are normed head by head behind RoPE.
namespace inlay {
namespace {

DecoderPlan hunyuan_plan(const HfConfig& config) {
  if (!config.flag("use_qk_norm", true)) {
    config.fail("use_qk_norm", "false is not supported");
  }
  config.refuse_flag("use_cla");
  DecoderPlan p =
      llama_like_plan(config, {.eps = 1e-5, .mlp_bias = "", .rope = {.ntk_alpha = true}});
  for (LayerPlan& layer : p.layers) {
    attention_of(layer).qk_norm = HeadNormPlan{
        .after_rope = true, .eps = p.norm.eps, .q = "query_layernorm", .k = "key_layernorm"};
  }
  return p;
}

void hunyuan_gguf_settings(const GgufKeys& keys, nlohmann::json& config) {
  llama_like_gguf_settings(keys, {}, config);
}

}  // namespace

const Family& hunyuan_family() {
  static const Family row = {
      .article = "a Hunyuan",
      .model_types = {"hunyuan_v1_dense"},
      .causal_class = "HunYuanDenseV1ForCausalLM",
      .bare_class = "HunYuanDenseV1Model",
      .base_prefix = "model.",
      .names = {},
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor", "use_qk_norm"},
      .plan = hunyuan_plan,
      .notes = llama_like_notes,
      .gguf = llama_like_gguf("hunyuan-dense", hunyuan_gguf_settings,
                              {{"self_attn.query_layernorm", "attn_q_norm"},
                               {"self_attn.key_layernorm", "attn_k_norm"}}),
  };
  return row;
}

}  // namespace inlay
