// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/rows/softmax.isa.h"

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

constexpr i64 kBlock = 256;  // values added in f32 lanes before they join the double sum

float maximum(const float* x, i64 n) {
  float most = x[0];
  i64 i = 0;
  if (n >= Vec::kLanes) {
    Vec lanes = Vec::load(x);
    for (i = Vec::kLanes; i + Vec::kLanes <= n; i += Vec::kLanes) {
      lanes = max(lanes, Vec::load(x + i));
    }
    most = reduce_max(lanes);
  }
  for (; i < n; ++i) {
    most = most < x[i] ? x[i] : most;
  }
  return most;
}

// Lanes past the end would add exp(0 - from): they are cleared by a round trip through memory, once
// a row.
Vec cleared(Vec v, AllLanes) {
  return v;
}
Vec cleared(Vec v, i64 n) {
  float lanes[Vec::kLanes];
  v.store(lanes);
  return Vec::load(lanes, n);
}

double sum_of_exp(const float* x, float from, float* y, i64 n) {
  const Vec base = Vec::set(from);
  double sum = 0.0;
  for (i64 first = 0; first < n; first += kBlock) {
    Vec part = Vec::zero();
    sweep(first + kBlock < n ? kBlock : n - first, [&](i64 i, auto lanes) {
      const Vec e = exp(load(x + first + i, lanes) - base);
      if (y != nullptr) {
        store(e, y + first + i, lanes);
      }
      part = part + cleared(e, lanes);
    });
    sum += static_cast<double>(reduce_add(part));
  }
  return sum;
}

template <class Value>
void scaled_exp(const float* x, float from, float factor, Value* y, i64 n) {
  const Vec base = Vec::set(from);
  const Vec f = Vec::set(factor);
  sweep(n, [&](i64 i, auto lanes) { store(exp(load(x + i, lanes) - base) * f, y + i, lanes); });
}

double dot(const float* a, const float* b, i64 n) {
  double sum = 0.0;
  for (i64 first = 0; first < n; first += kBlock) {
    Vec part = Vec::zero();
    sweep(first + kBlock < n ? kBlock : n - first, [&](i64 i, auto lanes) {
      part = fma(load(a + first + i, lanes), load(b + first + i, lanes), part);
    });
    sum += static_cast<double>(reduce_add(part));
  }
  return sum;
}

void backward(const float* y, const float* dy, float level, float* dx, i64 n) {
  const Vec l = Vec::set(level);
  sweep(n, [&](i64 i, auto lanes) {
    store(load(y + i, lanes) * (load(dy + i, lanes) - l), dx + i, lanes);
  });
}

}  // namespace

extern const SoftmaxTable softmaxes = {maximum,         sum_of_exp, scaled_exp<float>,
                                       scaled_exp<u16>, dot,        backward};

}  // namespace inlay::kernels::INLAY_ISA
