// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

namespace inlay::kernels {

/// The functions of simd.h over arrays, so that a test can call each instruction set's.
struct SimdProbe {
  void (*exp2)(const float* x, i64 n, float* y);
  void (*exp)(const float* x, i64 n, float* y);
  void (*tanh)(const float* x, i64 n, float* y);
  void (*store_bf16)(const float* x, i64 n, u16* y);
};
INLAY_DECLARE_TABLES(SimdProbe, simd_probe)

}  // namespace inlay::kernels
