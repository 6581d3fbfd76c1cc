// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/softcap.h"

#include <cmath>

#include "core/parallel.h"

namespace inlay::kernels {
namespace {

constexpr i64 kTanhsATask = 4096;  // a tanh is some ten nanoseconds

}  // namespace

void softcap(std::span<const float> x, float cap, std::span<float> y) {
  parallel_rows(static_cast<i64>(x.size()), kTanhsATask, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      y[i] = cap * std::tanh(x[i] / cap);
    }
  });
}

void softcap_backward(std::span<const float> y, std::span<const float> dy, float cap,
                      std::span<float> dx) {
  parallel_rows(static_cast<i64>(y.size()), kTanhsATask, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      const float t = y[i] / cap;
      dx[i] = dy[i] * (1.0F - t * t);
    }
  });
}

}  // namespace inlay::kernels
