// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/softmax.h"

#include <cmath>

#include "core/kernels/softmax.isa.h"
#include "core/parallel.h"

namespace inlay::kernels {
namespace {

void for_rows(std::size_t values, i64 V, FunctionRef<void(i64 row)> body) {
  constexpr i64 kSoftmaxValuesATask = 1 << 13;
  const i64 rows = V == 0 ? 0 : static_cast<i64>(values) / V;
  parallel_rows(rows, kSoftmaxValuesATask / V + 1, [&](i64 begin, i64 end) {
    for (i64 row = begin; row < end; ++row) {
      body(row);
    }
  });
}

}  // namespace

void softmax(std::span<const float> x, i64 V, std::span<float> y) {
  for_rows(x.size(), V, [&](i64 row) {
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
  for_rows(y.size(), V, [&](i64 row) {
    const float* out = y.data() + row * V;
    const float* d = dy.data() + row * V;
    const SoftmaxTable& k = INLAY_SELECT(softmaxes);
    k.backward(out, d, static_cast<float>(k.dot(out, d, V)), dx.data() + row * V, V);
  });
}

void cross_entropy(std::span<const float> logits, i64 V, std::span<const i32> targets,
                   std::span<double> losses) {
  for_rows(logits.size(), V, [&](i64 row) {
    const float* x = logits.data() + row * V;
    const SoftmaxTable& k = INLAY_SELECT(softmaxes);
    const float most = k.maximum(x, V);
    losses[row] = std::log(k.sum_of_exp(x, most, nullptr, V)) + static_cast<double>(most) -
                  static_cast<double>(x[targets[row]]);
  });
}

void cross_entropy_in_place(std::span<float> logits, i64 V, std::span<const i32> targets,
                            float scale, std::span<double> losses) {
  for_rows(logits.size(), V, [&](i64 row) {
    float* x = logits.data() + row * V;
    const SoftmaxTable& k = INLAY_SELECT(softmaxes);
    const float most = k.maximum(x, V);
    const double sum = k.sum_of_exp(x, most, nullptr, V);
    losses[row] = std::log(sum) + static_cast<double>(most) - static_cast<double>(x[targets[row]]);
    k.scaled_exp(x, most, static_cast<float>(static_cast<double>(scale) / sum), x, V);
    x[targets[row]] -= scale;
  });
}

}  // namespace inlay::kernels
