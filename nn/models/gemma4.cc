// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/config_values.h"
#include "nn/models/experts_config.h"
#include "nn/models/families.h"
#include "nn/models/gemma.h"
#include "nn/models/rope_config.h"

/// Gemma 4: as its elders, but for plain norms, heads of two sizes, scores that are not scaled,
/// values normed like keys, and a scalar behind each layer. The small ones (E2B, E4B) give each
/// layer an input of its own, and their last layers read the keys and values of earlier ones; one
/// (26B-A4B) has a mixture of experts beside each dense block, both between norms of their own.
namespace inlay {
namespace {

constexpr UsualSizes kGemma4 = {.vocab_size = 262144,
                                .hidden_size = 2304,
                                .intermediate_size = 9216,
                                .layers = 30,
                                .max_positions = 131072,
                                .heads = 8,
                                .kv_heads = 4,
                                .head_dim = 256};

// The heads of one layer.
struct Heads {
  i64 head_dim, kv_heads;
};

// By `per_layer_config`, or by what is said of layers of full attention.
class HeadsOfLayers {
 public:
  HeadsOfLayers(const HfConfig& config, const SelfAttentionPlan& usual, bool k_eq_v)
      : usual_{usual.head_dim, usual.kv_heads}, full_(usual_) {
    own_ = config.object("per_layer_config");
    if (!own_) {
      full_.head_dim = config.integer("global_head_dim", 512);
      if (k_eq_v) {
        full_.kv_heads = config.integer("num_global_key_value_heads", usual_.kv_heads);
      }
    }
  }

  Heads of(i64 layer, bool sliding) const {
    if (!own_) {
      return sliding ? usual_ : full_;
    }
    const std::optional<HfConfig> own = own_->object(std::to_string(layer));
    return own ? Heads{own->integer("head_dim", usual_.head_dim),
                       own->integer("num_key_value_heads", usual_.kv_heads)}
               : usual_;
  }

 private:
  Heads usual_, full_;
  std::optional<HfConfig> own_;
};

// The last layer always sees everything.
std::vector<bool> sliding_of(const HfConfig& config, i64 layers) {
  std::vector<bool> sliding = sliding_layers(config, layers, 6);
  sliding.back() = false;
  return sliding;
}

// The layer, before the first that has none of its own, whose keys and values a layer reads.
i64 lender_of(const HfConfig& config, const std::vector<bool>& sliding, i64 first_shared,
              bool of_sliding) {
  for (i64 i = first_shared; i-- > 0;) {
    if (sliding[i] == of_sliding) {
      return i;
    }
  }
  config.fail("num_kv_shared_layers",
              str("a layer of ", of_sliding ? "sliding" : "full",
                  " attention has no layer of its kind before it whose keys it could read"));
}

std::vector<RopePlan> gemma4_ropes(const HfConfig& config, const DecoderPlan& p, i64 full_head_dim,
                                   i64 sliding_head_dim) {
  const HfConfig with_defaults = with_rope_parameters(
      config, {{"sliding_attention", {{"rope_type", "default"}, {"rope_theta", 10000.0}}},
               {"full_attention",
                {{"rope_type", "proportional"},
                 {"partial_rotary_factor", 0.25},
                 {"rope_theta", 1000000.0}}}});
  const auto rope = [&](const char* type, i64 head_dim) {
    return RopePlan{parse_rope(with_defaults, {.head_dim = head_dim,
                                               .max_positions = p.sizes.max_positions,
                                               .layer_type = type}),
                    ""};
  };
  return {rope("full_attention", full_head_dim), rope("sliding_attention", sliding_head_dim)};
}

void refuse_what_is_not_here(const HfConfig& config) {
  if (config.has("use_bidirectional_attention") &&
      config.text("use_bidirectional_attention") == "all") {
    config.fail("use_bidirectional_attention", "\"all\" is not supported");
  }
}

LayerInputsPlan gemma4_inputs(const HfConfig& config, const LayerPlan& layer) {
  LayerInputsPlan inputs;
  inputs.width = config.integer("hidden_size_per_layer_input", 256, 0);
  inputs.rows = config.integer("vocab_size_per_layer_input", 262144);
  inputs.activation = layer.mlp.activation;
  return inputs;
}

void add_experts(const HfConfig& config, LayerPlan& layer) {
  ExpertsPlan experts = parse_experts(
      config, {.width = "moe_intermediate_size", .chosen = "top_k_experts", .usual_chosen = {}});
  stack_experts(experts);
  experts.name = "";  // router and experts are parts of the layer itself
  experts.router = "router.proj";
  experts.router_is_linear = true;
  experts.router_scale = "router.scale";
  experts.expert_scale = "router.per_expert_scale";
  experts.gate.activation = layer.mlp.activation;
  experts.norm_before = "pre_feedforward_layernorm_2";
  experts.norm_after = "post_feedforward_layernorm_2";
  layer.mlp_own_norm = "post_feedforward_layernorm_1";
  layer.experts = experts;
}

DecoderPlan gemma4_plan(const HfConfig& config) {
  refuse_what_is_not_here(config);
  DecoderPlan p = gemma_plan(config, kGemma4);
  p.logits_softcap = softcap_of(config, "final_logit_softcapping", 0.0);
  LayerPlan layer = gemma_layer(config, p, kGemma4);
  layer.scalar = "layer_scalar";
  if (config.flag("enable_moe_block", false)) {
    add_experts(config, layer);
  }
  p.layer_inputs = gemma4_inputs(config, layer);
  SelfAttentionPlan attention = gemma_attention(config, p, kGemma4);
  attention.scale = 1.0F;
  attention.qk_norm = HeadNormPlan{.eps = p.norm.eps};
  attention.v_norm = p.norm.eps;
  const bool k_eq_v = config.flag("attention_k_eq_v", false);
  const HeadsOfLayers heads(config, attention, k_eq_v);
  const std::vector<bool> sliding = sliding_of(config, p.sizes.layers);
  const i64 shared = config.integer("num_kv_shared_layers", 0, 0);
  if (shared >= p.sizes.layers) {
    config.fail("num_kv_shared_layers",
                str("expected fewer than the ", p.sizes.layers, " layers, found ", shared));
  }
  const bool double_wide = config.flag("use_double_wide_mlp", false);
  const i64 window = window_of(config, 512), width = layer.mlp.width;
  i64 head_dims[2] = {attention.head_dim, attention.head_dim};  // of full layers, of sliding ones
  for (i64 i = 0; i < p.sizes.layers; ++i) {
    const Heads own = heads.of(i, sliding[i]);
    attention.head_dim = head_dims[sliding[i] ? 1 : 0] = own.head_dim;
    attention.kv_heads = own.kv_heads;
    if (attention.heads % own.kv_heads != 0) {
      config.fail("num_key_value_heads",
                  str(own.kv_heads, " of layer ", i, " does not divide num_attention_heads, ",
                      attention.heads));
    }
    attention.window = sliding[i] ? window : 0;
    attention.rope = sliding[i] ? 1 : 0;
    attention.v = k_eq_v && !sliding[i] ? "" : "v_proj";
    layer.mlp.width = width;
    attention.kv_of.reset();
    if (i >= p.sizes.layers - shared) {
      attention.kv_of = lender_of(config, sliding, p.sizes.layers - shared, sliding[i]);
      std::get<SelfAttentionPlan>(p.layers[*attention.kv_of].mixer).lends_kv = true;
      layer.mlp.width = double_wide ? 2 * width : width;
    }
    layer.mixer = attention;
    p.layers.push_back(layer);
  }
  p.ropes = gemma4_ropes(config, p, head_dims[0], head_dims[1]);
  return p;
}

// Of a list with one number for each layer, the one of the first sliding layer, and of the first
// other one.
i64 number_of(const std::vector<i64>& list, const std::vector<i64>& sliding, bool of_sliding) {
  for (std::size_t i = 0; i < std::min(list.size(), sliding.size()); ++i) {
    if ((sliding[i] != 0) == of_sliding) {
      return list[i];
    }
  }
  return list.front();
}

void more_gemma4_gguf(const GgufKeys& keys, nlohmann::json& c) {
  const auto sliding = keys.integers("attention.sliding_window_pattern");
  if (!sliding || sliding->empty()) {
    keys.fail("attention.sliding_window_pattern", "missing");
  }
  write_gguf_window(keys, 6, 512, c);
  const i64 full_head_dim = keys.integer("attention.key_length");
  c["head_dim"] = keys.integer("attention.key_length_swa", full_head_dim);
  c["global_head_dim"] = full_head_dim;
  const i64 shared = keys.integer("attention.shared_kv_layers", 0);
  c["num_kv_shared_layers"] = shared;
  // Layers of full attention that have keys and no values, and heads of their own number.
  std::vector<i64> kv_heads;
  if (const auto list = keys.integers("attention.head_count_kv"); list && !list->empty()) {
    kv_heads = *list;
  } else {
    kv_heads = {keys.integer("attention.head_count_kv")};
  }
  c["num_key_value_heads"] = number_of(kv_heads, *sliding, true);
  const auto full = std::ranges::find(*sliding, 0);
  const std::string first_full = str("blk.", full - sliding->begin(), ".attn_v.weight");
  c["attention_k_eq_v"] = full != sliding->end() && keys.file().find_tensor(first_full) == nullptr;
  if (const i64 of_full = number_of(kv_heads, *sliding, false);
      of_full != c["num_key_value_heads"].get<i64>()) {
    c["num_global_key_value_heads"] = of_full;
  }
  const std::vector<i64> widths = keys.integers("feed_forward_length").value_or(std::vector<i64>{});
  c["intermediate_size"] = widths.empty() ? keys.integer("feed_forward_length") : widths.front();
  c["use_double_wide_mlp"] = !widths.empty() && widths.back() == 2 * widths.front();
  c["hidden_size_per_layer_input"] = keys.integer("embedding_length_per_layer_input", 0);
  if (const auto* table = keys.file().find_tensor("per_layer_token_embd.weight")) {
    c["vocab_size_per_layer_input"] = table->shape[0];
  }
  c["hidden_activation"] = "gelu_pytorch_tanh";
  if (has_gguf_tensor(keys, "ffn_gate_inp.weight")) {
    c["enable_moe_block"] = true;
    c["num_experts"] = keys.integer("expert_count");
    c["top_k_experts"] = keys.integer("expert_used_count");
    c["moe_intermediate_size"] = keys.integer("expert_feed_forward_length");
  }
  if (keys.has("final_logit_softcapping")) {
    c["final_logit_softcapping"] = keys.number("final_logit_softcapping");
  }
  write_gguf_rope(
      keys, {.head_dim = full_head_dim, .theta = 1e6, .sliding_theta = 1e4, .proportional = true},
      c);
}

GgufFamily gemma4_gguf() {
  std::vector<NamePair> in_layer = gemma_gguf_layer();
  in_layer.insert(in_layer.end(), {{"per_layer_input_gate", "inp_gate"},
                                   {"per_layer_projection", "proj"},
                                   {"post_per_layer_input_norm", "post_norm"},
                                   {"layer_scalar", "layer_output_scale.weight"},
                                   {"post_feedforward_layernorm_1", "post_ffw_norm_1"},
                                   {"pre_feedforward_layernorm_2", "pre_ffw_norm_2"},
                                   {"post_feedforward_layernorm_2", "post_ffw_norm_2"},
                                   {"router.proj", "ffn_gate_inp"},
                                   {"router.scale", "ffn_gate_inp.scale"},
                                   {"router.per_expert_scale", "ffn_down_exps.scale"},
                                   {"experts.gate_proj", "ffn_gate_exps"},
                                   {"experts.up_proj", "ffn_up_exps"},
                                   {"experts.gate_up_proj", "ffn_gate_up_exps.weight"},
                                   {"experts.down_proj", "ffn_down_exps"}});
  std::vector<NamePair> outside = usual_gguf_outside();
  outside.insert(outside.end(), {{"model.embed_tokens_per_layer", "per_layer_token_embd"},
                                 {"model.per_layer_model_projection", "per_layer_model_proj"},
                                 {"model.per_layer_projection_norm", "per_layer_proj_norm"}});
  std::vector<GgufSetting> settings =
      usual_gguf_settings("attention.layer_norm_rms_epsilon", "rms_norm_eps");
  std::erase_if(settings, [](const GgufSetting& s) { return s.gguf == "feed_forward_length"; });
  return {.architecture = "gemma4",
          .settings = settings,
          .more_settings = more_gemma4_gguf,
          .in_layer = in_layer,
          .outside = outside};
}

}  // namespace

const Family& gemma4_text_family() {
  static const Family row = {
      .article = "a Gemma 4",
      .model_types = {"gemma4_text"},
      .causal_class = "Gemma4ForCausalLM",
      .bare_class = "Gemma4TextModel",
      .base_prefix = "model.",
      .tied_by_default = true,
      .layers_key = "num_hidden_layers",
      .own_settings = {"final_logit_softcapping", "sliding_window", "layer_types",
                       "attention_k_eq_v", "num_kv_shared_layers", "hidden_size_per_layer_input",
                       "use_double_wide_mlp", "enable_moe_block", "num_experts", "per_layer_config",
                       "use_bidirectional_attention"},
      .plan = gemma4_plan,
      .gguf = gemma4_gguf(),
  };
  return row;
}

const Family& gemma4_family() {
  static const Family row = [] {
    Family wrapper =
        text_part_of(gemma4_text_family(), {.article = "a Gemma 4",
                                            .model_type = "gemma4",
                                            .causal_class = "Gemma4ForConditionalGeneration",
                                            .bare_class = "Gemma4Model"});
    wrapper.default_lora_targets = {"q_proj", "v_proj"};
    return wrapper;
  }();
  return row;
}

}  // namespace inlay
