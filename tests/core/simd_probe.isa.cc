// SPDX-License-Identifier: Apache-2.0
#include "tests/core/simd_probe.h"

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

template <Vec (*kFunction)(Vec)>
void apply(const float* x, i64 n, float* y) {
  for (i64 i = 0; i < n; i += Vec::kLanes) {
    const i64 lanes = n - i < Vec::kLanes ? n - i : Vec::kLanes;
    kFunction(Vec::load(x + i, lanes)).store(y + i, lanes);
  }
}

void store_bf16(const float* x, i64 n, u16* y) {
  sweep(n, [&](i64 i, auto lanes) { store(load(x + i, lanes), y + i, lanes); });
}

}  // namespace

const SimdProbe simd_probe = {apply<exp2>, apply<exp>, apply<tanh>, store_bf16};

}  // namespace inlay::kernels::INLAY_ISA
