// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

namespace inlay::kernels {

struct SoftmaxTable {
  float (*maximum)(const float* x, i64 n);
  // sum of exp(x - from); with y not null also y = exp(x - from)
  double (*sum_of_exp)(const float* x, float from, float* y, i64 n);
  // y = exp(x - from) * factor
  void (*scaled_exp)(const float* x, float from, float factor, float* y, i64 n);
  // The same, rounded to bf16; y may be where x is.
  void (*scaled_exp_bf16)(const float* x, float from, float factor, u16* y, i64 n);
  double (*dot)(const float* a, const float* b, i64 n);
  // dx = y (dy - level)
  void (*backward)(const float* y, const float* dy, float level, float* dx, i64 n);
};
INLAY_DECLARE_TABLES(SoftmaxTable, softmaxes)

}  // namespace inlay::kernels
