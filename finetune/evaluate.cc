// SPDX-License-Identifier: Apache-2.0
#include "finetune/evaluate.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "finetune/objective.h"

namespace inlay {

double LossReport::perplexity() const {
  return std::exp(loss);
}

LossReport evaluate_loss(const CausalLM& model, std::span<const Example> examples, i64 batch_size,
                         AttentionKind attention, GemmCompute compute) {
  const NoGrad guard;
  LossReport report;
  double sum = 0.0;
  const i64 count = static_cast<i64>(examples.size());
  for (i64 begin = 0; begin < count; begin += batch_size) {
    std::vector<const Example*> rows;
    for (i64 i = begin; i < std::min(count, begin + batch_size); ++i) {
      rows.push_back(&examples[i]);
    }
    const PackedBatch batch = pack(rows);
    if (batch.targets.empty()) {
      continue;
    }
    Pass pass;
    pass.tokens = &batch.tokens;
    pass.attention = attention;
    pass.compute = compute;
    const double trained = static_cast<double>(batch.targets.size());
    sum += static_cast<double>(next_token_loss(model, batch, pass, trained).item()) * trained;
    report.tokens += static_cast<i64>(batch.targets.size());
  }
  report.loss = report.tokens == 0 ? 0.0 : sum / static_cast<double>(report.tokens);
  return report;
}

}  // namespace inlay
