// SPDX-License-Identifier: Apache-2.0
#include "finetune/objective.h"

#include "core/ops/loss.h"

namespace inlay {

PackedBatch pack(std::span<const Example* const> examples) {
  PackedBatch batch;
  for (const Example* example : examples) {
    const i32 first = static_cast<i32>(batch.tokens.size());
    batch.tokens.append(example->ids);
    for (std::size_t t = 1; t < example->labels.size(); ++t) {
      if (example->labels[t] != kIgnoreLabel) {
        batch.rows.push_back(first + static_cast<i32>(t) - 1);
        batch.targets.push_back(example->labels[t]);
      }
    }
  }
  return batch;
}

Tensor next_token_loss(const CausalLM& model, const PackedBatch& batch, const Pass& pass,
                       double normalizer) {
  const Tensor h = model.hidden(pass, batch.rows);
  return chunked_cross_entropy(
      h, batch.targets, normalizer, [&](const Tensor& x) { return model.logits(x, pass); },
      model.logit_gradient(pass));
}

}  // namespace inlay
