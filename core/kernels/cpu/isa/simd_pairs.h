// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/simd.h"

// Vectors of neighbouring pairs (2k, 2k + 1), for the .isa.cc files.
namespace inlay::kernels::INLAY_ISA {
namespace {

/// Lane i has what lane i ^ 1 had.
inline Vec swapped_pairs(Vec a) {
#if defined(__AVX512F__)
  return {_mm512_permute_ps(a.v, 0xB1)};
#elif defined(__AVX2__)
  return {_mm256_permute_ps(a.v, 0xB1)};
#else
  return Vec::make([&](i64 i) { return a.lane(i ^ 1); });
#endif
}

/// Lane i has what lane i / 2 had: a value for each pair, given to both of it.
inline Vec given_to_pairs(Vec a) {
#if defined(__AVX512F__)
  const __m512i from = _mm512_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7);
  return {_mm512_permutexvar_ps(from, a.v)};
#elif defined(__AVX2__)
  return {_mm256_permutevar8x32_ps(a.v, _mm256_setr_epi32(0, 0, 1, 1, 2, 2, 3, 3))};
#else
  return Vec::make([&](i64 i) { return a.lane(i / 2); });
#endif
}

/// even in lanes 0, 2, ..., odd in lanes 1, 3, ...
inline Vec alternating(float even, float odd) {
  float lanes[Vec::kLanes];
  for (i64 i = 0; i < Vec::kLanes; ++i) {
    lanes[i] = i % 2 == 0 ? even : odd;
  }
  return Vec::load(lanes);
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
