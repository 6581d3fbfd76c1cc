// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "data/example.h"
#include "finetune/objectives/objective.h"
#include "nn/causal_lm.h"

namespace inlay {

struct LossReport {
  double loss = 0.0;  // mean by the rows' weights: over trained tokens, in nats
  i64 tokens = 0;     // their weights together: trained tokens
  std::vector<std::pair<std::string, double>> means;  // what the objective reports beside it
  double perplexity() const;
};

struct EvaluateOptions {
  i64 batch_size = 1;  // rows at once
  AttentionKind attention = AttentionKind::kTiled;
  GemmCompute compute = GemmCompute::kF32;
};

/// Mean loss over `examples`; nothing is recorded. The result does not depend on the batch size but
/// for the last bits.
LossReport evaluate_loss(const CausalLM& model, const Objective& objective,
                         std::span<const Example> examples, const EvaluateOptions& options);

}  // namespace inlay
