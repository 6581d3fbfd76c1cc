// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

namespace inlay::kernels {

struct ConvertTable {
  void (*bf16_to_f32)(const u16* x, float* y, i64 n);
  void (*f16_to_f32)(const u16* x, float* y, i64 n);
  void (*f32_to_bf16)(const float* x, u16* y, i64 n);
  void (*f32_to_f16)(const float* x, u16* y, i64 n);
};
INLAY_DECLARE_TABLES(ConvertTable, convert)

}  // namespace inlay::kernels
