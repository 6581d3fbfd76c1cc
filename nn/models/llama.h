// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/kernels/activation.h"
#include "nn/causal_lm.h"
#include "nn/models/hf_config.h"
#include "nn/models/rope_config.h"
#include "nn/norm.h"
#include "nn/weights.h"

namespace inlay {

/// The Llama family (Touvron et al. 2023, arXiv:2302.13971, and after): Llama 2 and 3, SmolLM2,
/// TinyLlama. Pre-norm blocks: x += attention(norm(x)); x += mlp(norm(x)); gated MLP, RoPE,
/// grouped-query attention.
struct LlamaConfig {
  i64 vocab_size = 0, hidden_size = 0, intermediate_size = 0;
  i64 num_hidden_layers = 0, num_attention_heads = 0, num_key_value_heads = 0, head_dim = 0;
  i64 max_position_embeddings = 0;
  double rms_norm_eps = 1e-6;
  double initializer_range = 0.02;
  double attention_dropout = 0.0;
  bool attention_bias = false, mlp_bias = false, tie_word_embeddings = false;
  kernels::Activation activation = kernels::Activation::kSilu;
  RopeConfig rope;
};

/// Throws DataError for what is missing, of the wrong type, or beyond what inlay computes.
LlamaConfig parse_llama_config(const HfConfig& config);
/// A sentence for each setting that neither Transformers nor inlay follows, though it is set.
std::vector<std::string> llama_notes(const HfConfig& config);

std::unique_ptr<CausalLM> make_llama(const LlamaConfig& config, WeightSource& weights);

}  // namespace inlay
