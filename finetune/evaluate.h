// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "data/example.h"
#include "nn/causal_lm.h"

namespace inlay {

struct LossReport {
  double loss = 0.0;  // mean over trained tokens, nats
  i64 tokens = 0;     // trained tokens
  double perplexity() const;
};

/// Mean loss over the trained tokens of `examples`, `batch_size` rows at a time; nothing is
/// recorded. The result does not depend on the batch size but for the last bits.
LossReport evaluate_loss(const CausalLM& model, std::span<const Example> examples, i64 batch_size,
                         AttentionKind attention = AttentionKind::kTiled,
                         GemmCompute compute = GemmCompute::kF32);

}  // namespace inlay
