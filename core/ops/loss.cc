// SPDX-License-Identifier: Apache-2.0
#include "core/ops/loss.h"

#include <algorithm>
#include <numeric>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/kernels/elementwise.h"
#include "core/kernels/softmax.h"
#include "core/ops/support.h"

namespace inlay {
namespace {

// Rows of logits held at once, a multiple of what a product takes together: the last piece must not
// be a handful of rows, for which all of the head would be read once more.
constexpr i64 kFewestRows = 64;
constexpr i64 kMostRows = 256;
constexpr i64 kRowsTogether = 16;

i64 rows_at_once(i64 N) {
  const i64 pieces = std::max<i64>(1, std::min(N / kFewestRows, std::max<i64>(8, N / kMostRows)));
  const i64 rows = (N + pieces - 1) / pieces;
  return std::min(kMostRows, (rows + kRowsTogether - 1) / kRowsTogether * kRowsTogether);
}

void check_targets(const Tensor& logits, std::span<const i32> targets) {
  if (logits.rank() != 2 || logits.dim(0) != static_cast<i64>(targets.size())) {
    throw ShapeError(str("cross_entropy: logits ", logits.shape().to_string(), " for ",
                         targets.size(), " targets"));
  }
  INLAY_ASSERT(std::ranges::all_of(targets, [&](i32 t) { return t >= 0 && t < logits.dim(1); }));
}

double sum(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0);
}

Tensor scalar(double value) {
  return Tensor::full({1}, static_cast<float>(value));
}

struct LossAndGradient {
  double loss;     // sum over the rows, not yet normalised
  Tensor dlogits;  // undefined when not wanted
};

LossAndGradient evaluate(const Tensor& logits, std::span<const i32> targets, double normalizer,
                         bool wanted, DType type) {
  std::vector<double> losses(targets.size());
  if (!wanted) {
    on(logits).cross_entropy(dense(logits).in(), logits.dim(1), targets, losses);
    return {sum(losses), {}};
  }
  Tensor gradient = result_over(logits);
  if (!gradient.same_storage(logits)) {
    gradient.copy_from(dense(logits));
  }
  const auto scale = static_cast<float>(1.0 / normalizer);
  if (type == DType::kBf16) {
    on(gradient).cross_entropy_to_bf16(gradient.out(), logits.dim(1), targets, scale, losses);
    gradient = gradient.overlaid(logits.shape(), DType::kBf16);
  } else {
    on(gradient).cross_entropy_in_place(gradient.out(), logits.dim(1), targets, scale, losses);
  }
  return {sum(losses), gradient};
}

}  // namespace

Tensor cross_entropy(Tensor logits, std::span<const i32> targets, double normalizer,
                     DType gradient) {
  check_targets(logits, targets);
  // Asked beforehand: the question's own copy of the handle would keep the logits from being
  // overwritten.
  const bool wanted = should_record({logits});
  const LossAndGradient result = evaluate(logits, targets, normalizer, wanted, gradient);
  return record("cross_entropy", scalar(result.loss / normalizer), {logits},
                [dlogits = result.dlogits](const Tensor& dy, Wants) -> Grads {
                  if (dy.item() == 1.0F) {
                    return {dlogits};
                  }
                  const Tensor scaled = dlogits.to(DType::kF32);
                  on(scaled).scale(scaled.in(), dy.item(), scaled.out());
                  return {scaled.to(dlogits.dtype())};
                });
}

std::vector<double> cross_entropy_rows(const Tensor& logits, std::span<const i32> targets) {
  check_targets(logits, targets);
  std::vector<double> losses(targets.size());
  on(logits).cross_entropy(dense(logits).in(), logits.dim(1), targets, losses);
  return losses;
}

Tensor chunked_cross_entropy(const Tensor& h, std::span<const i32> targets, double normalizer,
                             const std::function<Tensor(const Tensor&)>& head, DType gradient,
                             i64 chunk) {
  const i64 N = h.dim(0);
  chunk = chunk > 0 ? chunk : rows_at_once(N);
  INLAY_ASSERT(N == static_cast<i64>(targets.size()));
  const Tensor rows = dense(h).detach();
  const bool h_wanted = should_record({h});
  Tensor dh = h_wanted ? Tensor::empty_like(rows) : Tensor();
  double loss = 0.0;
  for (i64 begin = 0; begin < N; begin += chunk) {
    const i64 end = std::min(N, begin + chunk);
    const Tensor piece = rows.slice(0, begin, end).detach();
    piece.set_requires_grad(h_wanted);
    Tensor part;
    {
      Tensor logits = head(piece);
      const std::span<const i32> wanted_ids = targets.subspan(begin, end - begin);
      check_targets(logits, wanted_ids);
      part = cross_entropy(std::move(logits), wanted_ids, normalizer, gradient);
    }
    loss += static_cast<double>(part.item());
    if (part.requires_grad()) {
      backward(part);
    }
    if (h_wanted) {
      dh.slice(0, begin, end).copy_from(piece.grad());
    }
  }
  return record("chunked_cross_entropy", scalar(loss), {h},
                [dh](const Tensor&, Wants) -> Grads { return {dh}; });
}

}  // namespace inlay
