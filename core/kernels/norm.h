// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

/// Normalisations over rows of D = weight.size() values. Sums over a row are taken in double; an
/// output may be x or dy.
namespace inlay::kernels {

/// y = x rstd weight, rstd = 1 / sqrt(mean(x^2) + eps), one rstd a row.
void rms_norm(std::span<const float> x, std::span<const float> weight, float eps,
              std::span<float> y, std::span<float> rstd);
/// The same with rstd already known.
void rms_norm_with_rstd(std::span<const float> x, std::span<const float> weight,
                        std::span<const float> rstd, std::span<float> y);
/// n = x rstd, g = dy weight:  dx = rstd (g - n mean(g n))
void rms_norm_backward(std::span<const float> x, std::span<const float> weight,
                       std::span<const float> rstd, std::span<const float> dy, std::span<float> dx);
/// dweight = sum over rows of dy x rstd
void rms_norm_backward_weight(std::span<const float> x, std::span<const float> rstd,
                              std::span<const float> dy, std::span<float> dweight);

/// y = (x - mean) rstd weight + bias, rstd = 1 / sqrt(var(x) + eps) with the biased variance.
void layer_norm(std::span<const float> x, std::span<const float> weight,
                std::span<const float> bias, float eps, std::span<float> y, std::span<float> mean,
                std::span<float> rstd);
void layer_norm_with_statistics(std::span<const float> x, std::span<const float> weight,
                                std::span<const float> bias, std::span<const float> mean,
                                std::span<const float> rstd, std::span<float> y);
/// n = (x - mean) rstd, g = dy weight:  dx = rstd (g - mean(g) - n mean(g n))
void layer_norm_backward(std::span<const float> x, std::span<const float> weight,
                         std::span<const float> mean, std::span<const float> rstd,
                         std::span<const float> dy, std::span<float> dx);
/// dweight = sum over rows of dy n; the bias takes the column sums of dy.
void layer_norm_backward_weight(std::span<const float> x, std::span<const float> mean,
                                std::span<const float> rstd, std::span<const float> dy,
                                std::span<float> dweight);

}  // namespace inlay::kernels
