// SPDX-License-Identifier: Apache-2.0
#pragma once

// Values of which a bit each says whether they are kept, for the .isa.cc files.
//
//   keep(v, bits)    v where the lane's bit is set, else 0
//   KeptValues       the bits of some values of a row

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

#if defined(__AVX512F__)
inline Vec keep(Vec v, u32 bits) {
  return {_mm512_maskz_mov_ps(static_cast<__mmask16>(bits), v.v)};
}
#elif defined(__AVX2__)
inline Vec keep(Vec v, u32 bits) {
  const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<i32>(bits)), lane);
  return {_mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lane)), v.v)};
}
#else
inline Vec keep(Vec v, u32 bits) {
  return Vec::make([&](i64 i) { return ((bits >> i) & 1U) != 0 ? v.lane(i) : 0.0F; });
}
#endif

/// The bits of values from some value on.
class KeptValues {
 public:
  KeptValues() = default;
  KeptValues(const u32* bits, i64 first)
      : bytes_(reinterpret_cast<const unsigned char*>(bits) + first / 8),
        shift_(static_cast<u32>(first % 8)) {}

  /// Of values i to i + 24, i a multiple of 8, and perhaps of some more.
  u32 at(i64 i) const {
    // A row may begin at any bit: four bytes hold 25 bits from any bit of the first on.
    u32 window;
    __builtin_memcpy(&window, bytes_ + i / 8, sizeof window);
    return window >> shift_;
  }
  /// Of values i to i + 31, likewise.
  u32 word(i64 i) const {
    u64 window;
    __builtin_memcpy(&window, bytes_ + i / 8, sizeof window);
    return static_cast<u32>(window >> shift_);
  }

 private:
  const unsigned char* bytes_ = nullptr;
  u32 shift_ = 0;
};

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
