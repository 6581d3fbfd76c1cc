// SPDX-License-Identifier: Apache-2.0
#pragma once

// philox.h with a counter in every lane, for the .isa.cc files.
//
//   Words w = Words::set(x);         the same 32-bit word in each of the Vec::kLanes lanes
//   philox_rounds(key, x)            the four words of each lane's counter, over it
//   zero_below(w, bound, v)          w < bound ? 0 : v, lane by lane
//   bits_not_below(key, counter, bound)
//                                    bit 4 l + i: word i of counter + l is not below the bound, for
//                                    Vec::kLanes counters whose upper halves are one

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
// Bit 4 l + i: word i of lane l is not below the bound.
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
// Bit 4 l + i: word i of lane l is not below the bound.
inline u64 bits_from(const Words (&x)[4], Words bound) {
  u64 bits = 0;
  for (i64 i = 0; i < 4 * Vec::kLanes; ++i) {
    bits |= u64{x[i % 4].v[i / 4] >= bound.v[i / 4]} << i;
  }
  return bits;
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

#if defined(__AVX512F__)
/// Eight counters, a word in the lower half of each 64-bit lane: there a product's two halves come
/// where the next round wants them. What it leaves in the upper halves is never read.
struct BitsOfEight {
  u64 first, last;  // bits 2 l and 2 l + 1: words 0 and 1, or 2 and 3, of lane l
};
inline BitsOfEight bits_not_below_of_eight(u64 key, u64 counter, __m512i bound) {
  const __m512i multiplier0 = _mm512_set1_epi64(0xD2511F53),
                multiplier1 = _mm512_set1_epi64(0xCD9E8D57);
  u32 k0 = static_cast<u32>(key), k1 = static_cast<u32>(key >> 32);
  const auto with_key = [](__m512i a, __m512i b, u32 k) {
    constexpr int kXor = 0x96;  // of three
    return _mm512_ternarylogic_epi64(a, b, _mm512_set1_epi64(k), kXor);
  };
  __m512i x0 = _mm512_add_epi64(_mm512_set1_epi64(static_cast<i64>(counter)),
                                _mm512_setr_epi64(0, 1, 2, 3, 4, 5, 6, 7));
  __m512i x1 = _mm512_srli_epi64(x0, 32);
  __m512i x2 = _mm512_setzero_si512(), x3 = x2;
#pragma GCC unroll 10
  for (int round = 0; round < 10; ++round) {
    const __m512i product0 = _mm512_mul_epu32(x0, multiplier0);
    const __m512i product1 = _mm512_mul_epu32(x2, multiplier1);
    x0 = with_key(_mm512_srli_epi64(product1, 32), x1, k0);
    x1 = product1;
    x2 = with_key(_mm512_srli_epi64(product0, 32), x3, k1);
    x3 = product0;
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  constexpr __mmask16 kOdd = 0xAAAA;
  const __m512i first = _mm512_mask_blend_epi32(kOdd, x0, _mm512_slli_epi64(x1, 32));
  const __m512i last = _mm512_mask_blend_epi32(kOdd, x2, _mm512_slli_epi64(x3, 32));
  return {_mm512_cmpge_epu32_mask(first, bound), _mm512_cmpge_epu32_mask(last, bound)};
}

/// Every two bits of both halves, of which the lower 16 count, moved two apart.
inline u64 two_apart(u64 bits) {
  bits = (bits | bits << 8) & 0x00FF00FF00FF00FFU;
  bits = (bits | bits << 4) & 0x0F0F0F0F0F0F0F0FU;
  return (bits | bits << 2) & 0x3333333333333333U;
}

inline u64 bits_not_below(u64 key, u64 counter, u32 bound) {
  const __m512i least = _mm512_set1_epi32(static_cast<i32>(bound));
  const BitsOfEight low = bits_not_below_of_eight(key, counter, least);
  const BitsOfEight high = bits_not_below_of_eight(key, counter + 8, least);
  return two_apart(low.first | high.first << 32) | two_apart(low.last | high.last << 32) << 2;
}
#else
inline u64 bits_not_below(u64 key, u64 counter, u32 bound) {
  const u32 lanes[8] = {0, 1, 2, 3, 4, 5, 6, 7};
  Words x[4] = {Words::set(static_cast<u32>(counter)) + Words::load(lanes),
                Words::set(static_cast<u32>(counter >> 32)), Words::set(0), Words::set(0)};
  philox_rounds(key, x);
  return bits_from(x, Words::set(bound));
}
#endif

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
