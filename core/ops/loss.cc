// SPDX-License-Identifier: Apache-2.0
#include "core/ops/loss.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/ops/elementwise.h"
#include "core/ops/shape.h"
#include "core/ops/support.h"

namespace inlay {
namespace {

// Rows of logits held at once, a multiple of what a product takes together: the last piece must not
// be a handful of rows, for which all of the head would be read once more.
constexpr i64 kMinRows = 64;
constexpr i64 kMaxRows = 256;
constexpr i64 kRowsTogether = 16;

i64 rows_at_once(i64 N) {
  const i64 pieces = std::max<i64>(1, std::min(N / kMinRows, std::max<i64>(8, N / kMaxRows)));
  const i64 rows = (N + pieces - 1) / pieces;
  return std::min(kMaxRows, (rows + kRowsTogether - 1) / kRowsTogether * kRowsTogether);
}

void check_targets(const Tensor& logits, const Indices& targets) {
  if (logits.rank() != 2 || logits.dim(0) != targets.size()) {
    throw ShapeError(str("cross_entropy: logits ", logits.shape().to_string(), " for ",
                         targets.size(), " targets"));
  }
  INLAY_ASSERT(
      std::ranges::all_of(targets.host(), [&](i32 t) { return t >= 0 && t < logits.dim(1); }));
}

// The losses of the rows, and their gradient where the logits were, if nobody else reads them.
Tensor gradient_over(const Tensor& logits, const Indices& targets, double normalizer, DType type,
                     std::span<double> losses) {
  Tensor gradient = reuse_or_allocate(logits);
  if (!gradient.same_storage(logits)) {
    gradient.copy_from(contiguous(logits));
  }
  const auto scale = static_cast<float>(1.0 / normalizer);
  if (type == DType::kBf16) {
    on(gradient).cross_entropy_to_bf16(gradient.out(), logits.dim(1), targets.device(), scale,
                                       losses);
    return gradient.overlaid(logits.shape(), DType::kBf16);
  }
  on(gradient).cross_entropy_in_place(gradient.out(), logits.dim(1), targets.device(), scale,
                                      losses);
  return gradient;
}

Tensor sum(const Tensor& parts) {
  Tensor total = Tensor::empty({1});
  on(total).sum(parts.in(), total.out());
  return total;
}

// x *= factor, which lies on the device: nobody waits for it.
void scale_by(const Tensor& x, const Tensor& factor) {
  if (x.dtype() == DType::kBf16) {
    on(x).scale_by_bf16(x.span<u16>(), factor.in());
  } else {
    on(x).scale_by(x.out(), factor.in());
  }
}

}  // namespace

// NOLINTNEXTLINE(performance-unnecessary-value-param): given up by the caller, to be written over
Tensor cross_entropy(Tensor logits, const Indices& targets, double normalizer, DType gradient) {
  check_targets(logits, targets);
  // Asked beforehand: the question's own copy of the handle would keep the logits from being
  // overwritten.
  const bool wanted = should_record({logits});
  const Tensor losses = Tensor::empty({logits.dim(0)}, DType::kF64);
  Tensor dlogits;
  if (wanted) {
    dlogits = gradient_over(logits, targets, normalizer, gradient, losses.span<double>());
  } else {
    on(losses).cross_entropy(contiguous(logits).in(), logits.dim(1), targets.device(),
                             losses.span<double>());
  }
  Tensor loss = Tensor::empty({1});
  on(loss).sum_of_losses(losses.span<const double>(), normalizer, loss.out());
  return record("cross_entropy", std::move(loss), {logits},
                [dlogits](const Tensor& dy, Wants) mutable -> Grads {
                  scale_by(dlogits, dy);
                  return {std::exchange(dlogits, Tensor())};
                });
}

Tensor cross_entropy_rows(const Tensor& logits, const Indices& targets) {
  check_targets(logits, targets);
  Tensor losses = Tensor::empty({logits.dim(0)}, DType::kF64);
  on(losses).cross_entropy(contiguous(logits).in(), logits.dim(1), targets.device(),
                           losses.span<double>());
  return losses;
}

namespace {

Tensor with_gradient_at_once(const Tensor& h, const Head& head, const RowLoss& loss, i64 piece) {
  const i64 N = h.dim(0);
  const Tensor rows = contiguous(h).detach();
  const bool h_wanted = should_record({h});
  Tensor dh = h_wanted ? Tensor::empty_like(rows) : Tensor();
  const Tensor parts = Tensor::empty({(N + piece - 1) / piece});
  for (i64 begin = 0; begin < N; begin += piece) {
    const i64 end = std::min(N, begin + piece);
    // A leaf of its own: its gradient is wanted now, and h's graph is for later.
    const Tensor leaf = rows.slice(0, begin, end).detach();
    leaf.set_requires_grad(h_wanted);
    const Tensor part = loss(head(leaf), begin);
    parts.slice(0, begin / piece, begin / piece + 1).copy_from(part);
    if (part.requires_grad()) {
      backward(part);
    }
    if (h_wanted) {
      dh.slice(0, begin, end).copy_from(leaf.grad());
    }
  }
  return record("loss_in_pieces", sum(parts), {h}, [dh](const Tensor& dy, Wants) -> Grads {
    // The head's leaves have their gradients already, which nothing could scale any more.
    INLAY_ASSERT(is_first_gradient(dy));
    return {dh};
  });
}

Tensor with_gradient_in_backward(const Tensor& h, const Head& head, const RowLoss& loss,
                                 i64 piece) {
  const i64 N = h.dim(0);
  Tensor total = Tensor::zeros({1});
  for (i64 begin = 0; begin < N; begin += piece) {
    std::vector<i32> rows(std::min(N, begin + piece) - begin);
    std::iota(rows.begin(), rows.end(), static_cast<i32>(begin));
    const Tensor part =
        checkpoint([head, loss, begin](const Tensor& x) { return loss(head(x), begin); },
                   gather_rows(h, rows));
    total = add(std::move(total), part);
  }
  return total;
}

}  // namespace

Tensor loss_in_pieces(const Tensor& h, const Head& head, const RowLoss& loss,
                      const PieceOptions& options) {
  const i64 piece = std::max<i64>(1, options.rows > 0 ? options.rows : rows_at_once(h.dim(0)));
  return options.gradient == PieceGradient::kAtOnce
             ? with_gradient_at_once(h, head, loss, piece)
             : with_gradient_in_backward(h, head, loss, piece);
}

}  // namespace inlay
