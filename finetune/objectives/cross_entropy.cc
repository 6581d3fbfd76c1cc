// SPDX-License-Identifier: Apache-2.0
#include "finetune/objectives/cross_entropy.h"

#include <utility>

namespace inlay {

NextTokenBatch::NextTokenBatch(std::span<const Example* const> examples) {
  for (const Example* example : examples) {
    const i32 first = static_cast<i32>(tokens.size());
    tokens.append(example->ids);
    for (std::size_t t = 1; t < example->labels.size(); ++t) {
      if (example->labels[t] != kIgnoreLabel) {
        rows.push_back(first + static_cast<i32>(t) - 1);
        targets.push_back(example->labels[t]);
      }
    }
  }
  weight = std::ssize(targets);
}

BatchLoss NextTokenBatch::loss(const CausalLM& model, const Pass& pass, double normalizer) const {
  const DType gradient = model.logit_gradient(pass);
  return {loss_of_rows(model, pass, rows, [&](Tensor logits, i64 first) {
    const auto of_piece = std::span(targets).subspan(first, logits.dim(0));
    return cross_entropy(std::move(logits), of_piece, normalizer, gradient);
  })};
}

}  // namespace inlay
