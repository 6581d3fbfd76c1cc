// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/rows/convert.isa.h"

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

void bf16_to_f32(const u16* x, float* y, i64 n) {
  i64 i = 0;
  for (; i + Vec::kLanes <= n; i += Vec::kLanes) {
    Vec::load_bf16(x + i).store(y + i);
  }
  Vec::load_bf16(x + i, n - i).store(y + i, n - i);
}

void f16_to_f32(const u16* x, float* y, i64 n) {
  i64 i = 0;
  for (; i + Vec::kLanes <= n; i += Vec::kLanes) {
    Vec::load_f16(x + i).store(y + i);
  }
  Vec::load_f16(x + i, n - i).store(y + i, n - i);
}

u16 rounded_f16(float value) {
  const u32 bits = __builtin_bit_cast(u32, value);
  const u32 sign = (bits >> 16) & 0x8000U;
  const u32 magnitude = bits & 0x7FFFFFFFU;
  if (magnitude > 0x7F800000U) {
    return static_cast<u16>(sign | 0x7E00U);
  }
  if (magnitude >= 0x477FF000U) {  // 65520: halfway to the first power of two that is too large
    return static_cast<u16>(sign | 0x7C00U);
  }
  if (magnitude < 0x38800000U) {
    // Below 2^-14 the half is a multiple of 2^-24: adding 1/2 leaves exactly those bits, rounded to
    // even, at the end.
    const float shifted = __builtin_bit_cast(float, magnitude) + 0.5F;
    return static_cast<u16>(sign | (__builtin_bit_cast(u32, shifted) - 0x3F000000U));
  }
  const u32 rounded = magnitude + 0xFFFU + ((magnitude >> 13) & 1U);
  return static_cast<u16>(sign | ((rounded - 0x38000000U) >> 13));
}

void f32_to_bf16(const float* x, u16* y, i64 n) {
  for (i64 i = 0; i < n; ++i) {
    y[i] = nearest_bf16(x[i]);
  }
}

void f32_to_f16(const float* x, u16* y, i64 n) {
  for (i64 i = 0; i < n; ++i) {
    y[i] = rounded_f16(x[i]);
  }
}

}  // namespace

extern const ConvertTable convert = {bf16_to_f32, f16_to_f32, f32_to_bf16, f32_to_f16};

}  // namespace inlay::kernels::INLAY_ISA
