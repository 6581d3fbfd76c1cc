// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/rows/rope.isa.h"

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

void head(const float* x, const float* cosines, const float* sines, float sign, i64 half,
          i64 head_dim, float* y) {
  const Vec turn = Vec::set(sign);
  sweep(half, [&](i64 k, auto lanes) {
    const Vec c = load(cosines + k, lanes);
    const Vec s = load(sines + k, lanes) * turn;
    // Both of a pair before either is stored: y may be x.
    const Vec first = load(x + k, lanes);
    const Vec second = load(x + half + k, lanes);
    store(first * c - second * s, y + k, lanes);
    store(second * c + first * s, y + half + k, lanes);
  });
  // Values behind the rotary dimensions stay as they are.
  if (x != y) {
    for (i64 k = 2 * half; k < head_dim; ++k) {
      y[k] = x[k];
    }
  }
}

}  // namespace

extern const RopeTable ropes = {head};

}  // namespace inlay::kernels::INLAY_ISA
