// SPDX-License-Identifier: Apache-2.0
#include "nn/models/experts_config.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/config_values.h"

namespace inlay {
namespace {

SelfAttentionPlan mixture_attention(const HfConfig& config, i64 hidden_size) {
  SelfAttentionPlan a;
  a.heads = config.integer("num_attention_heads");
  a.kv_heads = config.integer("num_key_value_heads", a.heads);
  if (a.heads % a.kv_heads != 0) {
    config.fail("num_key_value_heads",
                str(a.kv_heads, " does not divide num_attention_heads, ", a.heads));
  }
  a.head_dim = config.integer("head_dim", std::max<i64>(1, hidden_size / a.heads));
  if (a.head_dim % 2 != 0) {
    config.fail("head_dim", str("expected an even number, found ", a.head_dim));
  }
  a.scale = static_cast<float>(1.0 / std::sqrt(static_cast<double>(a.head_dim)));
  a.dropout = probability(config, "attention_dropout", 0.0);
  a.qkv_bias = a.o_bias = config.flag("attention_bias", false);
  a.rope = 0;
  return a;
}

}  // namespace

DecoderPlan mixture_plan(const HfConfig& config, double norm_eps_by_default, i64 max_positions) {
  DecoderPlan p;
  p.sizes.vocab_size = config.integer("vocab_size");
  p.sizes.hidden_size = config.integer("hidden_size");
  p.sizes.layers = config.layers("num_hidden_layers");
  p.sizes.max_positions = config.integer("max_position_embeddings", max_positions);
  p.norm = {.kind = NormKind::kRms, .eps = norm_eps(config, "rms_norm_eps", norm_eps_by_default)};
  p.init_std = config.number("initializer_range", 0.02);
  p.tied_head = config.flag("tie_word_embeddings", false);
  LayerPlan layer;
  SelfAttentionPlan attention = mixture_attention(config, p.sizes.hidden_size);
  attention.init_std = attention.o_init_std = p.init_std;
  layer.mixer = attention;
  layer.mixer_norms.before = "input_layernorm";
  layer.mlp_norms.before = "post_attention_layernorm";
  p.layers.assign(p.sizes.layers, layer);
  return p;
}

ExpertsPlan parse_experts(const HfConfig& config, const ExpertKeys& keys) {
  ExpertsPlan plan;
  const char* key = config.has("num_local_experts") ? "num_local_experts" : "num_experts";
  plan.experts = config.integer(key, keys.usual_experts);
  plan.routing.chosen = config.integer(keys.chosen, keys.usual_chosen);
  if (plan.routing.chosen > plan.experts) {
    config.fail(keys.chosen,
                str(plan.routing.chosen, " is more than the ", plan.experts, " of ", key));
  }
  plan.width = config.integer(keys.width);
  plan.gate.activation = parse_activation(config, "hidden_act", "silu");
  plan.gate_up.init_std = plan.down.init_std = config.number("initializer_range", 0.02);
  return plan;
}

void stack_experts(ExpertsPlan& plan) {
  plan.gate_up.stacked = plan.down.stacked = true;
}

void write_gguf_mixture(const GgufKeys& keys, const char* width_key, nlohmann::json& c) {
  const i64 heads = c["num_attention_heads"], hidden_size = c["hidden_size"];
  c["num_key_value_heads"] = keys.integer("attention.head_count_kv", heads);
  const i64 head_dim = keys.integer("attention.key_length", hidden_size / std::max<i64>(1, heads));
  c["head_dim"] = head_dim;
  c["hidden_act"] = "silu";
  write_gguf_rope(keys, {.head_dim = head_dim}, c);
  c["attention_bias"] = keys.file().find_tensor("blk.0.attn_q.bias") != nullptr;
  c[width_key] = keys.has("expert_feed_forward_length") ? keys.integer("expert_feed_forward_length")
                                                        : keys.integer("feed_forward_length");
}

std::vector<GgufSetting> gguf_mixture_settings() {
  return {{"embedding_length", "hidden_size"},
          {"block_count", "num_hidden_layers"},
          {"attention.head_count", "num_attention_heads"},
          {"context_length", "max_position_embeddings"},
          {"expert_count", "num_experts"},
          {"expert_used_count", "num_experts_per_tok"},
          {"attention.layer_norm_rms_epsilon", "rms_norm_eps", GgufSetting::kNumber}};
}

std::vector<NamePair> gguf_mixture_names(std::string_view mlp_norm) {
  return {{"input_layernorm", "attn_norm"},
          {"self_attn.q_proj", "attn_q"},
          {"self_attn.k_proj", "attn_k"},
          {"self_attn.v_proj", "attn_v"},
          {"self_attn.o_proj", "attn_output"},
          {"self_attn.q_norm", "attn_q_norm"},
          {"self_attn.k_norm", "attn_k_norm"},
          {"post_attention_layernorm", mlp_norm},
          {"mlp.experts.gate_proj", "ffn_gate_exps"},
          {"mlp.experts.up_proj", "ffn_up_exps"},
          {"mlp.experts.down_proj", "ffn_down_exps"},
          {"mlp.experts.gate_up_proj", "ffn_gate_up_exps"}};
}

std::vector<NamePair> gguf_outside_names() {
  return {{"model.embed_tokens", "token_embd"},
          {"model.norm", "output_norm"},
          {"lm_head", "output"},
          {"rope_freqs", "rope_freqs"}};
}

}  // namespace inlay
