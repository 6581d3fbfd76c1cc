// SPDX-License-Identifier: Apache-2.0
#include "nn/causal_lm.h"

#include <utility>

#include "core/ops/shape.h"

namespace inlay {

Tensor CausalLM::hidden(const Pass& pass, std::optional<std::span<const i32>> rows) const {
  Tensor x = embed(pass);
  for (const std::unique_ptr<DecoderBlock>& block : blocks_) {
    // Below the lowest trainable part nothing is recorded anyway, and there is nothing to
    // recompute.
    if (pass.checkpoint_blocks && grad_enabled() && (x.requires_grad() || has_trainable(*block))) {
      x = checkpoint([&block, &pass](const Tensor& input) { return block->forward(input, pass); },
                     x);
    } else {
      x = block->forward(std::move(x), pass);
    }
  }
  return final_norm(rows ? gather_rows(x, *rows) : x);
}

Tensor CausalLM::logits(const Tensor& h, const Pass& pass) const {
  Pass head = pass;
  head.compute = unquantised(pass.compute);
  return lm_head_->forward(h, head);
}

}  // namespace inlay
