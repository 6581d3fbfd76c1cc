// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

/// Softmax over rows of V values, and the cross-entropy on it. Sums are taken in double.
namespace inlay::kernels {

/// y = softmax(x) row by row; y may be x.
void softmax(std::span<const float> x, i64 V, std::span<float> y);
/// dx = y (dy - sum(y dy)); dx may be dy.
void softmax_backward(std::span<const float> y, std::span<const float> dy, i64 V,
                      std::span<float> dx);

/// losses[r] = log(sum(exp(logits[r]))) - logits[r][targets[r]], in nats; targets in [0, V).
void cross_entropy(std::span<const float> logits, i64 V, std::span<const i32> targets,
                   std::span<double> losses);
/// The same, and the logits become their gradient: (softmax - onehot(target)) * scale.
void cross_entropy_in_place(std::span<float> logits, i64 V, std::span<const i32> targets,
                            float scale, std::span<double> losses);
/// The same, but the gradient is rounded to bf16 and written, row after row, to the start of the
/// logits' memory.
void cross_entropy_to_bf16(std::span<float> logits, i64 V, std::span<const i32> targets,
                           float scale, std::span<double> losses);

/// loss[0] = (losses[0] + losses[1] + …) / normalizer, in that order, rounded once.
void sum_of_losses(std::span<const double> losses, double normalizer, std::span<float> loss);

}  // namespace inlay::kernels
