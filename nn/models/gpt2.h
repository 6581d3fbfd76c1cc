// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/kernels/activation.h"
#include "nn/causal_lm.h"
#include "nn/models/hf_config.h"
#include "nn/weights.h"

namespace inlay {

/// GPT-2 (Radford et al. 2019): learned positions, layer norms with bias, one product for q, k and
/// v, weights kept [in, out] (Conv1D), head tied to the embedding.
struct Gpt2Config {
  i64 vocab_size = 0, n_positions = 0, n_embd = 0, n_layer = 0, n_head = 0, n_inner = 0;
  double layer_norm_epsilon = 1e-5;
  double initializer_range = 0.02;
  double attn_pdrop = 0.0, resid_pdrop = 0.0, embd_pdrop = 0.0;
  bool scale_attn_weights = true, scale_attn_by_inverse_layer_idx = false;
  bool tie_word_embeddings = true;
  kernels::Activation activation = kernels::Activation::kGeluTanh;
};

Gpt2Config parse_gpt2_config(const HfConfig& config);

std::unique_ptr<CausalLM> make_gpt2(const Gpt2Config& config, WeightSource& weights);

}  // namespace inlay
