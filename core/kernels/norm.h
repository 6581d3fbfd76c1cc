// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

/// Normalisations over rows of D values. Sums over a row are taken in double; an output may be x or
/// dy.
namespace inlay::kernels {

/// What a normalised row is multiplied with: offset + weight[c] in column c, or 1 where there is no
/// weight.
struct NormFactors {
  i64 D = 0;
  std::span<const float> weight;  // [D], or empty
  float offset = 0.0F;            // of a weight
};

/// y = x rstd factors (+ addend), rstd = 1 / sqrt(mean(x^2) + eps), one rstd a row. The addend has
/// the shape of x, or is empty; it may be y.
void rms_norm(std::span<const float> x, const NormFactors& factors, float eps,
              std::span<const float> addend, std::span<float> y, std::span<float> rstd);
/// The same with rstd already known, and no addend.
void rms_norm_with_rstd(std::span<const float> x, const NormFactors& factors,
                        std::span<const float> rstd, std::span<float> y);
/// n = x rstd, g = dy factors:  dx = rstd (g - n mean(g n))
void rms_norm_backward(std::span<const float> x, const NormFactors& factors,
                       std::span<const float> rstd, std::span<const float> dy, std::span<float> dx);
/// dweight = sum over rows of dy x rstd
void rms_norm_backward_weight(std::span<const float> x, std::span<const float> rstd,
                              std::span<const float> dy, std::span<float> dweight);

/// y = (x - mean) rstd factors + bias, rstd = 1 / sqrt(var(x) + eps) with the biased variance. The
/// bias is [D], or empty.
void layer_norm(std::span<const float> x, const NormFactors& factors, std::span<const float> bias,
                float eps, std::span<float> y, std::span<float> mean, std::span<float> rstd);
void layer_norm_with_statistics(std::span<const float> x, const NormFactors& factors,
                                std::span<const float> bias, std::span<const float> mean,
                                std::span<const float> rstd, std::span<float> y);
/// n = (x - mean) rstd, g = dy factors:  dx = rstd (g - mean(g) - n mean(g n))
void layer_norm_backward(std::span<const float> x, const NormFactors& factors,
                         std::span<const float> mean, std::span<const float> rstd,
                         std::span<const float> dy, std::span<float> dx);
/// dweight = sum over rows of dy n; the bias takes the column sums of dy.
void layer_norm_backward_weight(std::span<const float> x, std::span<const float> mean,
                                std::span<const float> rstd, std::span<const float> dy,
                                std::span<float> dweight);

}  // namespace inlay::kernels
