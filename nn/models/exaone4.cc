// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/llama_like.h"

/// EXAONE 4 (arXiv:2507.11407): a Llama normed behind each part, with norms of each head's queries
/// and keys. Where some layers attend through a window, the others have no RoPE.
namespace inlay {
namespace {

// The type of each layer by sliding_window_pattern: all but each n-th slide; or letters, repeated,
// of which L slides, though never in the last layer.
std::function<std::string(i64)> exaone_types(const HfConfig& config, i64 layers, bool windowed) {
  constexpr const char* kKey = "sliding_window_pattern";
  if (!windowed) {
    return [](i64) { return kFullAttention; };
  }
  if (config.has(kKey) && config.json()[kKey].is_string()) {
    const std::string pattern = config.text(kKey);
    if (pattern.empty() || pattern.find_first_not_of("LG") != std::string::npos) {
      config.fail(kKey,
                  str("expected letters L and G, or a number, found \"", printable(pattern), "\""));
    }
    return [pattern, layers](i64 layer) {
      const bool slides =
          layer + 1 != layers && pattern[static_cast<std::size_t>(layer) % pattern.size()] == 'L';
      return slides ? kSlidingAttention : kFullAttention;
    };
  }
  const i64 every = config.integer(kKey, 4);
  return
      [every](i64 layer) { return (layer + 1) % every != 0 ? kSlidingAttention : kFullAttention; };
}

DecoderPlan exaone_plan(const HfConfig& config) {
  DecoderPlan p =
      llama_like_plan(config, {.eps = 1e-5, .kv_heads = 32, .attention_bias = "", .mlp_bias = ""});
  const std::optional<i64> window = config.integer_or_null("sliding_window", 4096);
  const std::vector<std::string> types =
      layer_types(config, p.sizes.layers, {kFullAttention, kSlidingAttention},
                  exaone_types(config, p.sizes.layers, window.has_value()));
  set_windows(config, types, window, p);
  for (std::size_t i = 0; i < types.size(); ++i) {
    norm_behind(p.layers[i]);
    SelfAttentionPlan& attention = attention_of(p.layers[i]);
    attention.qk_norm = HeadNormPlan{.eps = p.norm.eps};
    if (window && types[i] == kFullAttention) {
      attention.rope.reset();
    }
  }
  return p;
}

void exaone_gguf_settings(const GgufKeys& keys, nlohmann::json& config) {
  llama_like_gguf_settings(keys, {}, config);
  write_gguf_windows(keys, config);
}

}  // namespace

const Family& exaone4_family() {
  static const Family row = {
      .article = "an EXAONE 4",
      .model_types = {"exaone4"},
      .causal_class = "Exaone4ForCausalLM",
      .bare_class = "Exaone4Model",
      .base_prefix = "model.",
      .names = {},
      .layers_key = "num_hidden_layers",
      .own_settings = {"partial_rotary_factor", "sliding_window", "sliding_window_pattern",
                       "layer_types"},
      .plan = exaone_plan,
      .notes = llama_like_notes,
      .gguf = llama_like_gguf("exaone4", exaone_gguf_settings,
                              {{"post_attention_layernorm", "post_attention_norm"},
                               {"post_feedforward_layernorm", "post_ffw_norm"},
                               {"self_attn.q_norm", "attn_q_norm"},
                               {"self_attn.k_norm", "attn_k_norm"}}),
  };
  return row;
}

}  // namespace inlay
