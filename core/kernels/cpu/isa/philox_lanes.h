// SPDX-License-Identifier: Apache-2.0
#pragma once

// philox.h with a counter in every lane, for the .isa.cc files.
//
//   Words w = Words::set(x);         the same 32-bit word in each of the Vec::kLanes lanes
//   philox_rounds(key, x)            the four words of each lane's counter, over it
//   zero_below(w, bound, v)          w < bound ? 0 : v, lane by lane
//   bits_from(x, bound)              bit 4 l + i: word i of lane l is not below the bound
//   keep(v, bits)                    v where the lane's bit is set, else 0

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

/// A Vec's worth of 32-bit words.
#if defined(__AVX512F__)
struct Words {
  __m512i v;
  static Words set(u32 x) { return {_mm512_set1_epi32(static_cast<i32>(x))}; }
  static Words load(const u32* p) { return {_mm512_loadu_si512(p)}; }
};
inline Words operator^(Words a, Words b) {
  return {_mm512_xor_si512(a.v, b.v)};
}
inline Words operator+(Words a, Words b) {
  return {_mm512_add_epi32(a.v, b.v)};
}
/// a * b: the upper and the lower 32 bits.
inline void multiply(Words a, Words b, Words* high, Words* low) {
  const __m512i even = _mm512_mul_epu32(a.v, b.v);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.v, 32), b.v);
  constexpr __mmask16 kOdd = 0xAAAA;
  high->v = _mm512_mask_blend_epi32(kOdd, _mm512_srli_epi64(even, 32), odd);
  low->v = _mm512_mask_blend_epi32(kOdd, even, _mm512_slli_epi64(odd, 32));
}
inline Vec zero_below(Words a, Words bound, Vec otherwise) {
  return {_mm512_maskz_mov_ps(_mm512_cmpge_epu32_mask(a.v, bound.v), otherwise.v)};
}
inline u64 bits_from(const Words (&x)[4], Words bound) {
  __m512i nibbles = _mm512_maskz_set1_epi32(_mm512_cmpge_epu32_mask(x[0].v, bound.v), 1);
  for (int i = 1; i < 4; ++i) {
    nibbles = _mm512_mask_or_epi32(nibbles, _mm512_cmpge_epu32_mask(x[i].v, bound.v), nibbles,
                                   _mm512_set1_epi32(1 << i));
  }
  // A byte of two neighbours: 1 * the lower + 16 * the upper.
  const __m128i pairs = _mm_maddubs_epi16(_mm512_cvtepi32_epi8(nibbles), _mm_set1_epi16(0x1001));
  return static_cast<u64>(_mm_cvtsi128_si64(_mm_packus_epi16(pairs, pairs)));
}
inline Vec keep(Vec v, u32 bits) {
  return {_mm512_maskz_mov_ps(static_cast<__mmask16>(bits), v.v)};
}
#elif defined(__AVX2__)
struct Words {
  __m256i v;
  static Words set(u32 x) { return {_mm256_set1_epi32(static_cast<i32>(x))}; }
  static Words load(const u32* p) {
    return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
  }
};
inline Words operator^(Words a, Words b) {
  return {_mm256_xor_si256(a.v, b.v)};
}
inline Words operator+(Words a, Words b) {
  return {_mm256_add_epi32(a.v, b.v)};
}
inline void multiply(Words a, Words b, Words* high, Words* low) {
  const __m256i even = _mm256_mul_epu32(a.v, b.v);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a.v, 32), b.v);
  high->v = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
  low->v = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}
inline __m256i not_below(Words a, Words bound) {
  return _mm256_cmpeq_epi32(_mm256_max_epu32(a.v, bound.v), a.v);
}
inline Vec zero_below(Words a, Words bound, Vec otherwise) {
  return {_mm256_and_ps(_mm256_castsi256_ps(not_below(a, bound)), otherwise.v)};
}
inline u64 bits_from(const Words (&x)[4], Words bound) {
  __m256i nibbles = _mm256_setzero_si256();
  for (int i = 0; i < 4; ++i) {
    nibbles = _mm256_or_si256(nibbles,
                              _mm256_and_si256(not_below(x[i], bound), _mm256_set1_epi32(1 << i)));
  }
  const __m128i words =
      _mm_packs_epi32(_mm256_castsi256_si128(nibbles), _mm256_extracti128_si256(nibbles, 1));
  // A byte of two neighbours: 1 * the lower + 16 * the upper.
  const __m128i pairs = _mm_madd_epi16(words, _mm_set1_epi32(0x00100001));
  const __m128i bytes = _mm_packus_epi16(_mm_packs_epi32(pairs, pairs), pairs);
  return static_cast<u32>(_mm_cvtsi128_si32(bytes));
}
inline Vec keep(Vec v, u32 bits) {
  const __m256i lane = _mm256_setr_epi32(1, 2, 4, 8, 16, 32, 64, 128);
  const __m256i set = _mm256_and_si256(_mm256_set1_epi32(static_cast<i32>(bits)), lane);
  return {_mm256_and_ps(_mm256_castsi256_ps(_mm256_cmpeq_epi32(set, lane)), v.v)};
}
#else
struct Words {
  u32 v[Vec::kLanes];
  template <class F>
  static Words make(F lane) {
    Words out;
    for (i64 i = 0; i < Vec::kLanes; ++i) {
      out.v[i] = lane(i);
    }
    return out;
  }
  static Words set(u32 x) {
    return make([&](i64) { return x; });
  }
  static Words load(const u32* p) {
    return make([&](i64 i) { return p[i]; });
  }
};
inline Words operator^(Words a, Words b) {
  return Words::make([&](i64 i) { return a.v[i] ^ b.v[i]; });
}
inline Words operator+(Words a, Words b) {
  return Words::make([&](i64 i) { return a.v[i] + b.v[i]; });
}
inline void multiply(Words a, Words b, Words* high, Words* low) {
  for (i64 i = 0; i < Vec::kLanes; ++i) {
    const u64 product = u64{a.v[i]} * b.v[i];
    high->v[i] = static_cast<u32>(product >> 32);
    low->v[i] = static_cast<u32>(product);
  }
}
inline Vec zero_below(Words a, Words bound, Vec otherwise) {
  return Vec::make([&](i64 i) { return a.v[i] < bound.v[i] ? 0.0F : otherwise.lane(i); });
}
inline u64 bits_from(const Words (&x)[4], Words bound) {
  u64 bits = 0;
  for (i64 i = 0; i < 4 * Vec::kLanes; ++i) {
    bits |= u64{x[i % 4].v[i / 4] >= bound.v[i / 4]} << i;
  }
  return bits;
}
inline Vec keep(Vec v, u32 bits) {
  return Vec::make([&](i64 i) { return ((bits >> i) & 1U) != 0 ? v.lane(i) : 0.0F; });
}
#endif

/// The ten rounds of Philox-4x32 over the counters x, a lane each.
inline void philox_rounds(u64 key, Words (&x)[4]) {
  const Words multiplier0 = Words::set(0xD2511F53U), multiplier1 = Words::set(0xCD9E8D57U);
  u32 k0 = static_cast<u32>(key), k1 = static_cast<u32>(key >> 32);
  for (int round = 0; round < 10; ++round) {
    Words high0, low0, high1, low1;
    multiply(x[0], multiplier0, &high0, &low0);
    multiply(x[2], multiplier1, &high1, &low1);
    x[0] = high1 ^ x[1] ^ Words::set(k0);
    x[1] = low1;
    x[2] = high0 ^ x[3] ^ Words::set(k1);
    x[3] = low0;
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
