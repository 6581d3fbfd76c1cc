// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/softmax.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "core/kernels/convert.h"
#include "core/kernels/cpu/rows/softmax.isa.h"
#include "core/parallel.h"

namespace inlay::kernels {
namespace {

void each_row(std::size_t values, i64 V, FunctionRef<void(i64 row)> body) {
  // Half of what a norm's task has: exp makes a value more work.
  constexpr i64 kSoftmaxValuesATask = 1 << 13;
  const i64 rows = V == 0 ? 0 : static_cast<i64>(values) / V;
  parallel_rows(rows, kSoftmaxValuesATask / std::max<i64>(1, V) + 1, [&](i64 begin, i64 end) {
    for (i64 row = begin; row < end; ++row) {
      body(row);
    }
  });
}

}  // namespace

void softmax(std::span<const float> x, i64 V, std::span<float> y) {
  each_row(x.size(), V, [&](i64 row) {
    const float* in = x.data() + row * V;
    float* out = y.data() + row * V;
    const SoftmaxTable& k = INLAY_SELECT(softmaxes);
    const double sum = k.sum_of_exp(in, k.maximum(in, V), out, V);
    const float inverse = static_cast<float>(1.0 / sum);
    for (i64 i = 0; i < V; ++i) {
      out[i] *= inverse;
    }
  });
}

void softmax_backward(std::span<const float> y, std::span<const float> dy, i64 V,
                      std::span<float> dx) {
  each_row(y.size(), V, [&](i64 row) {
    const float* out = y.data() + row * V;
    const float* d = dy.data() + row * V;
    const SoftmaxTable& k = INLAY_SELECT(softmaxes);
    k.backward(out, d, static_cast<float>(k.dot(out, d, V)), dx.data() + row * V, V);
  });
}

namespace {

struct RowLoss {
  float most;
  float factor;  // of exp(x - most) in the gradient
};

RowLoss row_loss(const float* x, i64 V, i32 target, float scale, double& loss) {
  const SoftmaxTable& k = INLAY_SELECT(softmaxes);
  const float most = k.maximum(x, V);
  const double sum = k.sum_of_exp(x, most, nullptr, V);
  loss = std::log(sum) + static_cast<double>(most) - static_cast<double>(x[target]);
  // One factor for softmax and scale: a pass over the row less.
  return {most, static_cast<float>(static_cast<double>(scale) / sum)};
}

}  // namespace

void cross_entropy(std::span<const float> logits, i64 V, std::span<const i32> targets,
                   std::span<double> losses) {
  each_row(logits.size(), V,
           [&](i64 row) { row_loss(logits.data() + row * V, V, targets[row], 1.0F, losses[row]); });
}

void cross_entropy_in_place(std::span<float> logits, i64 V, std::span<const i32> targets,
                            float scale, std::span<double> losses) {
  each_row(logits.size(), V, [&](i64 row) {
    float* x = logits.data() + row * V;
    const RowLoss row_of = row_loss(x, V, targets[row], scale, losses[row]);
    INLAY_SELECT(softmaxes).scaled_exp(x, row_of.most, row_of.factor, x, V);
    // - onehot: the one value that it concerns. Before, the row is softmax * scale.
    x[targets[row]] -= scale;
  });
}

void cross_entropy_to_bf16(std::span<float> logits, i64 V, std::span<const i32> targets,
                           float scale, std::span<double> losses) {
  auto* gradient = reinterpret_cast<u16*>(logits.data());
  const auto one_row = [&](i64 row) {
    const SoftmaxTable& k = INLAY_SELECT(softmaxes);
    const float* x = logits.data() + row * V;
    const i32 target = targets[row];
    const auto [most, factor] = row_loss(x, V, target, scale, losses[row]);
    // The target's gradient, rounded once from f32: taking `scale` from the rounded softmax would
    // round twice. It is read before the row is written, which for row 0 is over itself.
    float of_target = 0.0F;
    k.scaled_exp(x + target, most, factor, &of_target, 1);
    of_target -= scale;
    k.scaled_exp_bf16(x, most, factor, gradient + row * V, V);
    f32_to_bf16({&of_target, 1}, {gradient + row * V + target, 1});
  };
  // Row r ends up where row r / 2 was: when rows n to 2 n - 1 are written, those below n are done
  // with.
  const i64 rows = std::ssize(targets);
  for (i64 first = 0; first < rows; first = std::max<i64>(1, 2 * first)) {
    const i64 end = std::min(rows, std::max<i64>(1, 2 * first));
    each_row(static_cast<std::size_t>((end - first) * V), V,
             [&](i64 row) { one_row(first + row); });
  }
}

void sum_of_losses(std::span<const double> losses, double normalizer, std::span<float> loss) {
  parallel_rows(1, 1, [&](i64, i64) {
    loss[0] = static_cast<float>(std::accumulate(losses.begin(), losses.end(), 0.0) / normalizer);
  });
}

}  // namespace inlay::kernels
