// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/rows/rope.isa.h"

#include "core/kernels/cpu/isa/simd.h"
#include "core/kernels/cpu/isa/simd_pairs.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

void halves(const float* x, const float* cosines, const float* sines, float sign, i64 pairs,
            i64 distance, float* y) {
  const Vec turn = Vec::set(sign);
  sweep(pairs, [&](i64 k, auto lanes) {
    const Vec c = load(cosines + k, lanes);
    const Vec s = load(sines + k, lanes) * turn;
    // Both of a pair before either is stored: y may be x.
    const Vec first = load(x + k, lanes);
    const Vec second = load(x + distance + k, lanes);
    store(first * c - second * s, y + k, lanes);
    store(second * c + first * s, y + distance + k, lanes);
  });
}

i64 half(AllLanes) {
  return Vec::kLanes / 2;
}
i64 half(i64 lanes) {
  return lanes / 2;
}

void interleaved(const float* x, const float* cosines, const float* sines, float sign, i64 pairs,
                 float* y) {
  // The first of a pair takes its partner times -sin, the second times sin.
  const Vec turn = alternating(-sign, sign);
  sweep(2 * pairs, [&](i64 i, auto lanes) {
    const Vec c = given_to_pairs(Vec::load(cosines + i / 2, half(lanes)));
    const Vec s = given_to_pairs(Vec::load(sines + i / 2, half(lanes))) * turn;
    const Vec v = load(x + i, lanes);
    store(v * c + swapped_pairs(v) * s, y + i, lanes);
  });
}

}  // namespace

extern const RopeTable ropes = {halves, interleaved};

}  // namespace inlay::kernels::INLAY_ISA
