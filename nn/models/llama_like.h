// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "nn/models/families.h"
#include "nn/models/rope_config.h"

/// What most families have in common with Llama: a row starts from these and says how it differs.
namespace inlay {

/// What config.json of a family leaves out, and which of Llama's keys it has.
struct LlamaLike {
  double eps = 1e-6;                 // rms_norm_eps
  i64 max_positions = 2048;          // max_position_embeddings
  std::optional<i64> kv_heads = {};  // num_key_value_heads; none: as many as there are heads
  std::optional<i64> head_dim = {};  // none: hidden_size / num_attention_heads
  bool tied = false;                 // tie_word_embeddings
  bool attention_dropout = true;     // there is such a setting
  std::string attention_bias = "attention_bias", mlp_bias = "mlp_bias";  // their keys; empty: none
  RopeRules rope = {};                                                   // sizes are filled in
};

/// The plan of a Llama with these defaults: pre-norm layers, all alike, with RoPE number 0.
DecoderPlan llama_like_plan(const HfConfig& config, const LlamaLike& family);

/// The attention of a layer whose mixer is that.
inline SelfAttentionPlan& attention_of(LayerPlan& layer) {
  return std::get<SelfAttentionPlan>(layer.mixer);
}

/// Both parts of the layer normed behind instead of before (OLMo 2, EXAONE 4).
void norm_behind(LayerPlan& layer);

/// The types of layers that `layer_types` may name.
inline constexpr const char* kFullAttention = "full_attention";
inline constexpr const char* kSlidingAttention = "sliding_attention";
/// `layer_types`, one a layer; where the config has none, what `otherwise` says of each. Throws
/// DataError for another type, or another number of them.
std::vector<std::string> layer_types(const HfConfig& config, i64 layers,
                                     const std::vector<std::string>& known,
                                     const std::function<std::string(i64 layer)>& otherwise);

/// Layers that are `sliding` see `window` keys. Throws DataError naming sliding_window where some
/// are, and there is no window.
void set_windows(const HfConfig& config, const std::vector<std::string>& types,
                 std::optional<i64> window, DecoderPlan& plan);

/// A sentence for each setting that is set and not followed, for families whose heads turn whole.
std::vector<std::string> llama_like_notes(const HfConfig& config);

/// The keys and names of a Llama under another architecture. `more` names further modules of a
/// layer, or Llama's otherwise.
GgufFamily llama_like_gguf(const std::string& architecture,
                           void (*more_settings)(const GgufKeys& keys, nlohmann::json& config),
                           const std::vector<NamePair>& more = {});
/// Settings of such a file beside those of GgufFamily::settings; the rules' head_dim is filled in.
void llama_like_gguf_settings(const GgufKeys& keys, GgufRopeRules rope, nlohmann::json& config);
/// sliding_window and layer_types of a file; nothing where it has no window.
void write_gguf_windows(const GgufKeys& keys, nlohmann::json& config);

}  // namespace inlay
