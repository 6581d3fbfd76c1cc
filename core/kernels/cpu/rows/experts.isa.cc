// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/rows/experts.isa.h"

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

constexpr i64 kBlock = 256;  // values added in f32 lanes before they join the double sum

// 1 where x <= bound, else 0: what a clamp lets through of a gradient, the bound itself included.
Vec passes_below(Vec x, Vec bound) {
  return select_less(bound, x, Vec::zero(), Vec::set(1.0F));
}

void clamped(float alpha, float limit, const float* gate, const float* up, float* h, i64 n) {
  const Vec a = Vec::set(alpha), most = Vec::set(limit), one = Vec::set(1.0F);
  sweep(n, [&](i64 i, auto lanes) {
    const Vec g = min(most, load(gate + i, lanes));
    const Vec u = max(-most, min(most, load(up + i, lanes)));
    store((u + one) * (g * sigmoid(a * g)), h + i, lanes);
  });
}

// With s = sigmoid(alpha g):   d(g s) = s (1 + alpha g (1 - s)) dg
void clamped_backward(float alpha, float limit, const float* gate, const float* up, const float* dh,
                      float* dgate, float* dup, float* h, i64 n) {
  const Vec a = Vec::set(alpha), most = Vec::set(limit), one = Vec::set(1.0F);
  sweep(n, [&](i64 i, auto lanes) {
    const Vec z = load(gate + i, lanes), v = load(up + i, lanes), d = load(dh + i, lanes);
    const Vec g = min(most, z);
    const Vec u = max(-most, min(most, v)) + one;
    const Vec s = sigmoid(a * g);
    const Vec slope = s * fma(a * g, one - s, one);
    store(d * u * slope * passes_below(z, most), dgate + i, lanes);
    store(d * (g * s) * passes_below(v, most) * passes_below(-v, most), dup + i, lanes);
    if (h != nullptr) {
      store(u * (g * s), h + i, lanes);
    }
  });
}

void scaled(const float* x, float factor, float* y, i64 n) {
  const Vec f = Vec::set(factor);
  sweep(n, [&](i64 i, auto lanes) { store(load(x + i, lanes) * f, y + i, lanes); });
}

void add_scaled(const float* x, float factor, float* y, i64 n) {
  const Vec f = Vec::set(factor);
  sweep(n, [&](i64 i, auto lanes) {
    store(fma(load(x + i, lanes), f, load(y + i, lanes)), y + i, lanes);
  });
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

}  // namespace

extern const ExpertRowsTable expert_rows = {clamped, clamped_backward, scaled, add_scaled, dot};

}  // namespace inlay::kernels::INLAY_ISA
