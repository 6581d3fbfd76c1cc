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

/// Values of a moment that share a scale.
inline constexpr i64 kMomentBlock = 256;

/// A moment in 8 bits: value i is map[codes[i]] * absmax[i / kMomentBlock].
struct EightBitMoment {
  std::span<u8> codes;
  std::span<float> absmax;  // one a block, the last of which may be short
};

/// The same step with m in the signed and v in the unsigned dynamic code (Dettmers et al. 2021,
/// arXiv:2110.02861, section 2). A block is decoded, updated in f32 and encoded again while it is
/// in the cache: p sees the moments before they are rounded.
void adamw_8bit(const AdamwStep& step, std::span<const float> g, std::span<float> p,
                const EightBitMoment& m, const EightBitMoment& v);

}  // namespace inlay::kernels
