// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/rows/adamw.isa.h"

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

void step(const AdamwFactors& f, const float* g, float* p, float* m, float* v, i64 n) {
  sweep(n, [&](i64 i, auto lanes) {
    const Vec grad = load(g + i, lanes) * Vec::set(f.gradient);
    const Vec first = fma(Vec::set(f.rest1), grad, Vec::set(f.beta1) * load(m + i, lanes));
    const Vec second = fma(Vec::set(f.rest2) * grad, grad, Vec::set(f.beta2) * load(v + i, lanes));
    const Vec denominator = fma(sqrt(second), Vec::set(f.inverse_root), Vec::set(f.epsilon));
    // PyTorch's order (adamw.h): p decays before it moves, and eps is added to the corrected root.
    const Vec value =
        load(p + i, lanes) * Vec::set(f.keep) - Vec::set(f.rate) * first / denominator;
    store(first, m + i, lanes);
    store(second, v + i, lanes);
    store(value, p + i, lanes);
  });
}

}  // namespace

extern const AdamwTable adamws = {step};

}  // namespace inlay::kernels::INLAY_ISA
