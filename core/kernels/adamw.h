// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

namespace inlay::kernels {

/// One AdamW step with decoupled decay (Loshchilov & Hutter 2019, arXiv:1711.05101, Alg. 2), in
/// PyTorch's order:
///   p *= 1 - lr decay;  m = b1 m + (1 - b1) g;  v = b2 v + (1 - b2) g^2
///   p -= lr / (1 - b1^t) * m / (sqrt(v) / sqrt(1 - b2^t) + eps)
struct AdamwStep {
  double learning_rate = 0.0;
  double beta1 = 0.9, beta2 = 0.999;
  double epsilon = 1e-8;
  double weight_decay = 0.0;
  i64 t = 1;                    // 1 for the first step
  double gradient_scale = 1.0;  // g is multiplied by it on the way in (clipping)
};

/// All spans have one length; p, m and v are updated in place.
void adamw(const AdamwStep& step, std::span<const float> g, std::span<float> p, std::span<float> m,
           std::span<float> v);

}  // namespace inlay::kernels
