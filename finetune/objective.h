// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <vector>

#include "data/example.h"
#include "nn/causal_lm.h"

namespace inlay {

/// The tokens of some examples laid end to end, and which of them predict a trained token.
struct PackedBatch {
  PackedTokens tokens;
  std::vector<i32> rows;     // rows of the pass whose next token is trained on
  std::vector<i32> targets;  // that token
};
PackedBatch pack(std::span<const Example* const> examples);

/// The sum over trained tokens of -log p(token | tokens before it), divided by `normalizer`, in
/// nats. Logits exist only for rows that are trained on, a chunk at a time. `pass.tokens` must be
/// `batch.tokens`.
Tensor next_token_loss(const CausalLM& model, const PackedBatch& batch, const Pass& pass,
                       double normalizer);

}  // namespace inlay
