// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nn/decoder_plan.h"
#include "nn/models/families.h"
#include "nn/models/hf_config.h"

/// What most families read from the same keys of config.json. A row of a family says here what its
/// class in Transformers has by default, and then only what sets it apart.
namespace inlay {

struct UsualSizes {
  i64 vocab_size = 0, hidden_size = 0, intermediate_size = 0;
  i64 layers = 0, max_positions = 0;
  i64 heads = 0;
  i64 kv_heads = 0;  // 0: as many as heads
  i64 head_dim = 0;  // 0: hidden_size / heads
  double init_std = 0.02;
};

/// The sizes, tie_word_embeddings and initializer_range; no layers yet.
DecoderPlan usual_plan(const HfConfig& config, const UsualSizes& defaults, bool tied);

/// num_attention_heads, num_key_value_heads, head_dim, attention_dropout; scores times
/// head_dim^-0.5, the model's first RoPE, no bias.
SelfAttentionPlan usual_attention(const HfConfig& config, const DecoderPlan& plan,
                                  const UsualSizes& defaults);

/// intermediate_size, and the activation under `key`; gated, without bias.
MlpPlan usual_mlp(const HfConfig& config, const DecoderPlan& plan, const UsualSizes& defaults,
                  std::string_view activation, std::string_view key = "hidden_act");

/// One projection in place of the gate: up, activation, down.
void ungate(MlpPlan& mlp, const std::string& up, const std::string& down);

/// Which layers see a window alone: those that `layer_types` calls "sliding_attention"; without it,
/// all but each n-th, n being `sliding_window_pattern` or `full_every`.
std::vector<bool> sliding_layers(const HfConfig& config, i64 layers, i64 full_every);

/// The keys a query sees, by `sliding_window`: null is none (0: all), and left out is `otherwise`.
i64 window_of(const HfConfig& config, i64 otherwise);

/// A bound of logits or scores under `key`, likewise.
float softcap_of(const HfConfig& config, std::string_view key, double otherwise);

/// A probability under `key`, or nothing where it is 0: then no operation is needed.
std::optional<float> dropout_if_any(const HfConfig& config, std::string_view key);

/// Whether config.json has the key, be it null: where null is a value of its own.
bool says(const HfConfig& config, std::string_view key);

/// The settings that most GGUF files say under one key each; `norm_eps` is what config.json calls
/// the epsilon under `gguf_eps`.
std::vector<GgufSetting> usual_gguf_settings(const std::string& gguf_eps,
                                             const std::string& norm_eps);
/// num_key_value_heads and head_dim.
void write_gguf_heads(const GgufKeys& keys, nlohmann::json& config);
/// Whether the first layer of a GGUF file has the tensor: "attn_q.bias".
bool has_gguf_tensor(const GgufKeys& keys, const std::string& in_layer);
/// Embedding, last norm and head, as they are mostly called.
std::vector<NamePair> usual_gguf_outside();

}  // namespace inlay
