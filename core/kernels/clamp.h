// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

namespace inlay::kernels {

/// y = min(max(x, -bound), bound); y may be x.
void clamp(std::span<const float> x, float bound, std::span<float> y);
/// dx = dy where |x| <= bound, else 0; dx may be dy.
void clamp_backward(std::span<const float> x, std::span<const float> dy, float bound,
                    std::span<float> dx);

}  // namespace inlay::kernels
