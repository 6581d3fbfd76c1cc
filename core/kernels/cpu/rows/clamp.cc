// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/clamp.h"

#include <algorithm>
#include <cmath>

#include "core/parallel.h"
#include "core/types.h"

namespace inlay::kernels {
namespace {

constexpr i64 kClampedATask = 1 << 15;  // tens of microseconds

}  // namespace

void clamp(std::span<const float> x, float bound, std::span<float> y) {
  parallel_rows(static_cast<i64>(x.size()), kClampedATask, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      y[i] = std::clamp(x[i], -bound, bound);
    }
  });
}

void clamp_backward(std::span<const float> x, std::span<const float> dy, float bound,
                    std::span<float> dx) {
  parallel_rows(static_cast<i64>(x.size()), kClampedATask, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      dx[i] = std::abs(x[i]) <= bound ? dy[i] : 0.0F;
    }
  });
}

}  // namespace inlay::kernels
