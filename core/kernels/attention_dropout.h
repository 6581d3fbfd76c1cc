// SPDX-License-Identifier: Apache-2.0
#pragma once

// Dropout of attention weights in the .isa.cc files: philox.h with a counter in every lane. Four
// keys of a row share a counter and take a word of it each, so a lane's four words serve four rows
// of a tile's weights.

#include "core/kernels/attention_tile.h"

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
/// a * b: the upper and the lower 32 bits.
inline void multiply(Words a, Words b, Words* high, Words* low) {
  const __m512i even = _mm512_mul_epu32(a.v, b.v);
  const __m512i odd = _mm512_mul_epu32(_mm512_srli_epi64(a.v, 32), b.v);
  constexpr __mmask16 kOdd = 0xAAAA;
  high->v = _mm512_mask_blend_epi32(kOdd, _mm512_srli_epi64(even, 32), odd);
  low->v = _mm512_mask_blend_epi32(kOdd, even, _mm512_slli_epi64(odd, 32));
}
/// a < bound ? 0 : otherwise
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
inline void multiply(Words a, Words b, Words* high, Words* low) {
  const __m256i even = _mm256_mul_epu32(a.v, b.v);
  const __m256i odd = _mm256_mul_epu32(_mm256_srli_epi64(a.v, 32), b.v);
  high->v = _mm256_blend_epi32(_mm256_srli_epi64(even, 32), odd, 0xAA);
  low->v = _mm256_blend_epi32(even, _mm256_slli_epi64(odd, 32), 0xAA);
}
inline Vec zero_below(Words a, Words bound, Vec otherwise) {
  const __m256i kept = _mm256_cmpeq_epi32(_mm256_max_epu32(a.v, bound.v), a.v);
  return {_mm256_and_ps(_mm256_castsi256_ps(kept), otherwise.v)};
}
#else
struct Words {
  u32 v[kLanes];
  template <class F>
  static Words make(F lane) {
    Words out;
    for (i64 i = 0; i < kLanes; ++i) {
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
inline void multiply(Words a, Words b, Words* high, Words* low) {
  for (i64 i = 0; i < kLanes; ++i) {
    const u64 product = u64{a.v[i]} * b.v[i];
    high->v[i] = static_cast<u32>(product >> 32);
    low->v[i] = static_cast<u32>(product);
  }
}
inline Vec zero_below(Words a, Words bound, Vec otherwise) {
  return Vec::make([&](i64 i) { return a.v[i] < bound.v[i] ? 0.0F : otherwise.lane(i); });
}
#endif

/// What the counters of a tile's rows are made of (see AttentionParams::dropout_key), and what a
/// draw is compared with.
struct TileDraws {
  u64 key;
  Words segment, bound;
  Vec kept;
  u32 query[kTileRows], head[kTileRows];
};

inline TileDraws tile_draws(const Head& head, const Tile& tile) {
  const AttentionParams& params = *head.params;
  TileDraws draws = {};
  draws.key = params.dropout_key;
  draws.segment = Words::set(static_cast<u32>(head.segment));
  // word < dropout * 2^32 is the same comparison with the product rounded up to a whole number.
  draws.bound =
      Words::set(static_cast<u32>(__builtin_ceil(static_cast<double>(params.dropout) * 0x1p32)));
  draws.kept = Vec::set(1.0F / (1.0F - params.dropout));
  for_each_row(head, tile, [&](i64 r, i64 query, i64 member) {
    draws.query[r] = static_cast<u32>(query);
    draws.head[r] = static_cast<u32>(head.first_head + member);
  });
  return draws;
}

/// keep[i]: 1 / (1 - dropout) or 0 for key 4 * quad + i of the rows from r on.
inline void draw_keep(const TileDraws& draws, i64 quad, i64 r, Vec (&keep)[4]) {
  const Words multiplier0 = Words::set(0xD2511F53U), multiplier1 = Words::set(0xCD9E8D57U);
  Words x0 = Words::set(static_cast<u32>(quad)), x1 = Words::load(draws.query + r);
  Words x2 = draws.segment, x3 = Words::load(draws.head + r);
  u32 k0 = static_cast<u32>(draws.key), k1 = static_cast<u32>(draws.key >> 32);
  for (int round = 0; round < 10; ++round) {
    Words high0, low0, high1, low1;
    multiply(x0, multiplier0, &high0, &low0);
    multiply(x2, multiplier1, &high1, &low1);
    x0 = high1 ^ x1 ^ Words::set(k0);
    x1 = low1;
    x2 = high0 ^ x3 ^ Words::set(k1);
    x3 = low0;
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  const Words word[4] = {x0, x1, x2, x3};
  for (int i = 0; i < 4; ++i) {
    keep[i] = zero_below(word[i], draws.bound, draws.kept);
  }
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
