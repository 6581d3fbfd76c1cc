// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <span>

#include "core/autograd/graph.h"
#include "core/tensor/host_list.h"

namespace inlay {

/// Sum of the cross-entropies of the rows of `logits`, divided by `normalizer`, in nats: [1].
///   logits [N, V] f32, overwritten with their gradient when it is wanted and `logits` is the only
///     handle
///   targets [N] in [0, V)
/// Saved for backward: the gradient of the logits, as f32 or, for operations that round it anyway,
/// bf16.
Tensor cross_entropy(Tensor logits, const Indices& targets, double normalizer,
                     DType gradient = DType::kF32);

/// The losses of single rows, in nats: [N] f64; nothing is recorded.
Tensor cross_entropy_rows(const Tensor& logits, const Indices& targets);

/// [n, C] -> [n, V] through recorded operations; it may use trainable leaves.
using Head = std::function<Tensor(const Tensor& h)>;
/// A loss [1], recorded, of rows [first, first + n) of the logits: [n, V] f32.
using RowLoss = std::function<Tensor(Tensor logits, i64 first)>;

/// When the gradient of a loss over pieces is computed.
enum class PieceGradient : u8 {
  kAtOnce,      // while a piece's logits are there; backward must then begin at this loss
  kInBackward,  // from logits that are made once more; whatever gradient arrives for the loss
};

struct PieceOptions {
  PieceGradient gradient = PieceGradient::kInBackward;
  /// Rows of a piece. 0: an eighth of them, but 64 to 256: with fewer the head's weights would be
  /// packed for little, with more the logits would be most of the memory.
  i64 rows = 0;
};

/// The sum of loss(head(piece), its first row) over pieces of the rows of h, without ever holding
/// the whole [N, V] logits: [1].
///   h [N, C]; the loss of a row must not depend on other rows than those of its piece.
///
/// kAtOnce: what comes out of the forward pass is already d(loss)/dh, and the gradients of the
/// head's own leaves. That is why backward must begin here, or at a sum that this loss is a term
/// of; a factor belongs into `loss`. When nothing wants a gradient only the loss is computed. Saved
/// for backward: d(loss)/dh [N, C], in place of h.
///
/// kInBackward costs one more product with the head. Saved for backward: h. `head` and `loss`, and
/// what they refer to, must outlive the backward pass.
Tensor loss_in_pieces(const Tensor& h, const Head& head, const RowLoss& loss,
                      const PieceOptions& options = {});

}  // namespace inlay
