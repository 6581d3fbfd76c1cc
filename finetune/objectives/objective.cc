// SPDX-License-Identifier: Apache-2.0
#include "finetune/objectives/objective.h"

namespace inlay {

Tensor loss_of_rows(const CausalLM& model, const Pass& pass, std::span<const i32> rows,
                    const RowLoss& loss) {
  return loss_in_pieces(model.hidden(pass, rows),
                        [&](const Tensor& h) { return model.logits(h, pass); }, loss,
                        {.gradient = PieceGradient::kAtOnce});
}

}  // namespace inlay
