// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/norm.h"

#include <cmath>

#include "core/kernels/cpu/rows/norm.isa.h"
#include "core/parallel.h"

namespace inlay::kernels {
namespace {

// 64 KB of x: microseconds of work, many times what taking a task costs.
constexpr i64 kNormedATask = 1 << 14;
// Columns whose sums weight_block keeps at once: four cache lines of each row.
constexpr i64 kNormColumns = 64;

// body(row) for every row of D values, in tasks of about kNormedATask values.
void for_rows(std::size_t values, i64 D, FunctionRef<void(i64 row)> body) {
  const i64 rows = D == 0 ? 0 : static_cast<i64>(values) / D;
  parallel_rows(rows, kNormedATask / (D + 1) + 1, [&](i64 begin, i64 end) {
    for (i64 row = begin; row < end; ++row) {
      body(row);
    }
  });
}

void weight_gradient(std::span<const float> x, const float* mean, std::span<const float> rstd,
                     std::span<const float> dy, std::span<float> dweight) {
  const i64 D = static_cast<i64>(dweight.size());
  // By columns, not by rows: each sum then runs over all rows in order, whatever the threads.
  parallel_rows(D, kNormColumns, [&](i64 begin, i64 end) {
    double sums[kNormColumns];
    INLAY_SELECT(norms).weight_block(x.data() + begin, mean, rstd.data(), dy.data() + begin, D,
                                     static_cast<i64>(rstd.size()), end - begin, sums);
    for (i64 c = begin; c < end; ++c) {
      dweight[c] = static_cast<float>(sums[c - begin]);
    }
  });
}

NormRow row_of(const NormFactors& factors, std::span<const float> bias = {}) {
  return {factors.weight.empty() ? nullptr : factors.weight.data(), factors.offset,
          bias.empty() ? nullptr : bias.data()};
}

}  // namespace

void rms_norm(std::span<const float> x, const NormFactors& factors, float eps,
              std::span<const float> addend, std::span<float> y, std::span<float> rstd) {
  const i64 D = factors.D;
  const NormRow vectors = row_of(factors);
  for_rows(x.size(), D, [&](i64 row) {
    const float* in = x.data() + row * D;
    const double mean =
        INLAY_SELECT(norms).sum_of_squared_distances(in, 0.0F, D) / static_cast<double>(D);
    rstd[row] = static_cast<float>(1.0 / std::sqrt(mean + static_cast<double>(eps)));
    INLAY_SELECT(norms).apply(in, vectors, 0.0F, rstd[row],
                              addend.empty() ? nullptr : addend.data() + row * D,
                              y.data() + row * D, D);
  });
}

void rms_norm_with_rstd(std::span<const float> x, const NormFactors& factors,
                        std::span<const float> rstd, std::span<float> y) {
  const i64 D = factors.D;
  const NormRow vectors = row_of(factors);
  for_rows(x.size(), D, [&](i64 row) {
    INLAY_SELECT(norms).apply(x.data() + row * D, vectors, 0.0F, rstd[row], nullptr,
                              y.data() + row * D, D);
  });
}

void rms_norm_backward(std::span<const float> x, const NormFactors& factors,
                       std::span<const float> rstd, std::span<const float> dy,
                       std::span<float> dx) {
  const i64 D = factors.D;
  const NormRow vectors = row_of(factors);
  for_rows(x.size(), D, [&](i64 row) {
    INLAY_SELECT(norms).backward(x.data() + row * D, vectors, 0.0F, rstd[row], dy.data() + row * D,
                                 false, dx.data() + row * D, D);
  });
}

void rms_norm_backward_weight(std::span<const float> x, std::span<const float> rstd,
                              std::span<const float> dy, std::span<float> dweight) {
  weight_gradient(x, nullptr, rstd, dy, dweight);
}

void layer_norm(std::span<const float> x, const NormFactors& factors, std::span<const float> bias,
                float eps, std::span<float> y, std::span<float> mean, std::span<float> rstd) {
  const i64 D = factors.D;
  const NormRow vectors = row_of(factors, bias);
  for_rows(x.size(), D, [&](i64 row) {
    const float* in = x.data() + row * D;
    mean[row] = static_cast<float>(INLAY_SELECT(norms).sum(in, D) / static_cast<double>(D));
    const double variance =
        INLAY_SELECT(norms).sum_of_squared_distances(in, mean[row], D) / static_cast<double>(D);
    rstd[row] = static_cast<float>(1.0 / std::sqrt(variance + static_cast<double>(eps)));
    INLAY_SELECT(norms).apply(in, vectors, mean[row], rstd[row], nullptr, y.data() + row * D, D);
  });
}

void layer_norm_with_statistics(std::span<const float> x, const NormFactors& factors,
                                std::span<const float> bias, std::span<const float> mean,
                                std::span<const float> rstd, std::span<float> y) {
  const i64 D = factors.D;
  const NormRow vectors = row_of(factors, bias);
  for_rows(x.size(), D, [&](i64 row) {
    INLAY_SELECT(norms).apply(x.data() + row * D, vectors, mean[row], rstd[row], nullptr,
                              y.data() + row * D, D);
  });
}

void layer_norm_backward(std::span<const float> x, const NormFactors& factors,
                         std::span<const float> mean, std::span<const float> rstd,
                         std::span<const float> dy, std::span<float> dx) {
  const i64 D = factors.D;
  const NormRow vectors = row_of(factors);
  for_rows(x.size(), D, [&](i64 row) {
    INLAY_SELECT(norms).backward(x.data() + row * D, vectors, mean[row], rstd[row],
                                 dy.data() + row * D, true, dx.data() + row * D, D);
  });
}

void layer_norm_backward_weight(std::span<const float> x, std::span<const float> mean,
                                std::span<const float> rstd, std::span<const float> dy,
                                std::span<float> dweight) {
  weight_gradient(x, mean.data(), rstd, dy, dweight);
}

}  // namespace inlay::kernels
