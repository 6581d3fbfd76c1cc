// SPDX-License-Identifier: Apache-2.0
#include "nn/causal_lm.h"

#include <utility>

#include "core/ops/shape.h"

namespace inlay {

Tensor CausalLM::hidden(const Pass& pass, std::optional<std::span<const i32>> rows) const {
  Tensor x = embed(pass);
  Pass own = pass;
  for (std::size_t i = 0; i < blocks_.size(); ++i) {
    const std::unique_ptr<DecoderBlock>& block = blocks_[i];
    if (pass.recompute_layers && static_cast<i64>(i) >= *pass.recompute_layers) {
      own.recompute = Recompute::kNone;
    }
    // Below the lowest trainable part nothing is recorded anyway, and there is nothing to
    // recompute.
    if (own.recompute == Recompute::kBlock && grad_enabled() &&
        (x.requires_grad() || has_trainable(*block))) {
      x = checkpoint([&block, own](const Tensor& input) { return block->forward(input, own); }, x);
    } else {
      x = block->forward(std::move(x), own);
    }
  }
  return final_norm(rows ? gather_rows(x, *rows) : x);
}

namespace {

Pass head_pass(const Pass& pass) {
  Pass head = pass;
  head.compute = unquantised(pass.compute);
  return head;
}

}  // namespace

Tensor CausalLM::logits(const Tensor& h, const Pass& pass) const {
  return lm_head_->forward(h, head_pass(pass));
}

DType CausalLM::logit_gradient(const Pass& pass) const {
  return takes_bf16({lm_head_.get()}, head_pass(pass)) ? DType::kBf16 : DType::kF32;
}

}  // namespace inlay
