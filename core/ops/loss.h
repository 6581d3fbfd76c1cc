// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>

#include "core/autograd/graph.h"

namespace inlay {

/// Sum of the cross-entropies of the rows of `logits`, divided by `normalizer`, in nats.
///   logits [N, V] f32, overwritten with their gradient when it is wanted and `logits` is the only
///                 handle
///   targets [N]   in [0, V)
/// Saved for backward: the gradient of the logits, as f32 or, for operations that round it anyway,
/// bf16.
Tensor cross_entropy(Tensor logits, std::span<const i32> targets, double normalizer,
                     DType gradient = DType::kF32);

/// The losses of single rows, in nats; nothing is recorded.
std::vector<double> cross_entropy_rows(const Tensor& logits, std::span<const i32> targets);

/// cross_entropy(head(h), targets, normalizer) without ever holding the whole [N, V] logits:
/// `chunk` rows at a time (by default an eighth, but 64 to 256: with fewer the head's weights would
/// be packed for little, with more the logits would be most of the memory) go through the head,
/// their loss and at once their gradient, and are dropped. What comes out of the forward pass is
/// already d(loss)/dh, and the gradients of the head's own leaves.
///   h [N, C]   f32
///   head       maps [n, C] to [n, V] through recorded operations; it may use trainable leaves
///   gradient   the type of the logits' gradient, which `head` must take
/// Saved for backward: d(loss)/dh [N, C], in place of h. When nothing wants a gradient only the
/// loss is computed. The gradient arriving for the loss must be 1: scale the loss through
/// `normalizer`.
Tensor chunked_cross_entropy(const Tensor& h, std::span<const i32> targets, double normalizer,
                             const std::function<Tensor(const Tensor&)>& head,
                             DType gradient = DType::kF32, i64 chunk = 0);

}  // namespace inlay
