// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/simd.h"

// 32-bit words, one a lane, and numbers packed in them, for the .isa.cc files of AVX2 and AVX-512.
//
// A whole number of at most 23 bits becomes a float by or-ing it into the fraction of a power of
// two:
//
//   bits [s, s + b) of a word | 2^(23 - s)  =  the float 2^(23 - s) + q
//
// wherever in the low 23 bits the field lies, so two fields of a byte need no shift, and those of
// the word's upper half one shift for all. From it, exactly as the formats define the value:
//
//   ((2^(23 - s) + q) - (2^(23 - s) + c)) d        for (q - c) d: the difference is exact
//   fma((2^(23 - s) + q) - 2^(23 - s), d, m)       for q d + m: so is q d, of at most 22 bits
namespace inlay::kernels::INLAY_ISA {

#if defined(__AVX512F__) || defined(__AVX2__)

namespace {

#define INLAY_INLINE [[gnu::always_inline]] inline

#if defined(__AVX512F__)

struct Words {
  __m512i v;
};

INLAY_INLINE Words set_words(u32 x) {
  return {_mm512_set1_epi32(static_cast<i32>(x))};
}
INLAY_INLINE Words operator&(Words a, Words b) {
  return {_mm512_and_si512(a.v, b.v)};
}
/// (a & b) | c
INLAY_INLINE Words and_or(Words a, Words b, Words c) {
  return {_mm512_ternarylogic_epi32(a.v, b.v, c.v, 0xEA)};
}
/// (a & b) ^ c
INLAY_INLINE Words and_xor(Words a, Words b, Words c) {
  return {_mm512_ternarylogic_epi32(a.v, b.v, c.v, 0x6A)};
}
/// a << kBits, or a >> -kBits
template <int kBits>
INLAY_INLINE Words shifted(Words a) {
  if constexpr (kBits > 0) {
    return {_mm512_slli_epi32(a.v, kBits)};
  } else if constexpr (kBits < 0) {
    return {_mm512_srli_epi32(a.v, -kBits)};
  } else {
    return a;
  }
}
INLAY_INLINE Words shifted_right(Words a, int bits) {
  return {_mm512_srl_epi32(a.v, _mm_cvtsi32_si128(bits))};
}
/// The signed byte at bits [kFrom, kFrom + 8), as a float.
template <int kFrom>
INLAY_INLINE Vec signed_byte(Words a) {
  return {_mm512_cvtepi32_ps(_mm512_srai_epi32(_mm512_slli_epi32(a.v, 24 - kFrom), 24))};
}
INLAY_INLINE Vec as_floats(Words a) {
  return {_mm512_castsi512_ps(a.v)};
}
/// The halves in the low 16 bits.
INLAY_INLINE Vec low_halves(Words a) {
  return {_mm512_cvtph_ps(_mm512_cvtepi32_epi16(a.v))};
}

INLAY_INLINE Vec high_halves(Words a) {
  return low_halves(shifted<-16>(a));
}

/// The upper half of a, and the lower half of b above it.
INLAY_INLINE Words high_then_low(Words a, Words b) {
  return {_mm512_rol_epi32(_mm512_mask_blend_epi16(0x55555555U, a.v, b.v), 16)};
}

INLAY_INLINE Words load_words(const u32* p) {
  return {_mm512_loadu_si512(p)};
}

/// A table of 16 floats, indexed by the low four bits of each word.
struct Code {
  __m512 entries;
  INLAY_INLINE explicit Code(const float* code) : entries(_mm512_loadu_ps(code)) {}
  INLAY_INLINE Vec operator[](Words index) const {
    return {_mm512_permutexvar_ps(index.v, entries)};
  }
};

/// q - kCentre for the four bits q from kFrom on.
template <int kFrom, int kCentre>
INLAY_INLINE Vec nibble(Words a) {
  // vpermps reads four bits of its index: a table spares masks.
  constexpr float c = static_cast<float>(kCentre);
  const __m512 numbers =
      _mm512_setr_ps(0 - c, 1 - c, 2 - c, 3 - c, 4 - c, 5 - c, 6 - c, 7 - c, 8 - c, 9 - c, 10 - c,
                     11 - c, 12 - c, 13 - c, 14 - c, 15 - c);
  return {_mm512_permutexvar_ps(shifted<-kFrom>(a).v, numbers)};
}

INLAY_INLINE __m512i load_four_rows(const u8* const* rows, i64 r, i64 offset) {
  const auto row = [&](i64 i) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r + 4 * i] + offset));
  };
  __m512i out = _mm512_castsi128_si512(row(0));
  out = _mm512_inserti32x4(out, row(1), 1);
  out = _mm512_inserti32x4(out, row(2), 2);
  return _mm512_inserti32x4(out, row(3), 3);
}

/// word[j]: word j of the 16 bytes at `offset` of each row.
INLAY_INLINE void transposed_words(const u8* const* rows, i64 offset, Words* word) {
  const __m512i r0 = load_four_rows(rows, 0, offset), r1 = load_four_rows(rows, 1, offset);
  const __m512i r2 = load_four_rows(rows, 2, offset), r3 = load_four_rows(rows, 3, offset);
  const __m512i low01 = _mm512_unpacklo_epi32(r0, r1), high01 = _mm512_unpackhi_epi32(r0, r1);
  const __m512i low23 = _mm512_unpacklo_epi32(r2, r3), high23 = _mm512_unpackhi_epi32(r2, r3);
  word[0] = {_mm512_unpacklo_epi64(low01, low23)};
  word[1] = {_mm512_unpackhi_epi64(low01, low23)};
  word[2] = {_mm512_unpacklo_epi64(high01, high23)};
  word[3] = {_mm512_unpackhi_epi64(high01, high23)};
}

#else

struct Words {
  __m256i v;
};

INLAY_INLINE Words set_words(u32 x) {
  return {_mm256_set1_epi32(static_cast<i32>(x))};
}
INLAY_INLINE Words operator&(Words a, Words b) {
  return {_mm256_and_si256(a.v, b.v)};
}
INLAY_INLINE Words and_or(Words a, Words b, Words c) {
  return {_mm256_or_si256(_mm256_and_si256(a.v, b.v), c.v)};
}
INLAY_INLINE Words and_xor(Words a, Words b, Words c) {
  return {_mm256_xor_si256(_mm256_and_si256(a.v, b.v), c.v)};
}
template <int kBits>
INLAY_INLINE Words shifted(Words a) {
  if constexpr (kBits > 0) {
    return {_mm256_slli_epi32(a.v, kBits)};
  } else if constexpr (kBits < 0) {
    return {_mm256_srli_epi32(a.v, -kBits)};
  } else {
    return a;
  }
}
INLAY_INLINE Words shifted_right(Words a, int bits) {
  return {_mm256_srl_epi32(a.v, _mm_cvtsi32_si128(bits))};
}
template <int kFrom>
INLAY_INLINE Vec signed_byte(Words a) {
  return {_mm256_cvtepi32_ps(_mm256_srai_epi32(_mm256_slli_epi32(a.v, 24 - kFrom), 24))};
}
INLAY_INLINE Vec as_floats(Words a) {
  return {_mm256_castsi256_ps(a.v)};
}
INLAY_INLINE Vec low_halves(Words a) {
  const __m256i low = _mm256_and_si256(a.v, _mm256_set1_epi32(0xFFFF));
  return {_mm256_cvtph_ps(
      _mm_packus_epi32(_mm256_castsi256_si128(low), _mm256_extracti128_si256(low, 1)))};
}
INLAY_INLINE Vec high_halves(Words a) {
  return low_halves(shifted<-16>(a));
}

INLAY_INLINE Words high_then_low(Words a, Words b) {
  return {_mm256_or_si256(_mm256_srli_epi32(a.v, 16), _mm256_slli_epi32(b.v, 16))};
}

INLAY_INLINE Words load_words(const u32* p) {
  return {_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))};
}

struct Code {
  __m256 low, high;
  INLAY_INLINE explicit Code(const float* code)
      : low(_mm256_loadu_ps(code)), high(_mm256_loadu_ps(code + 8)) {}
  INLAY_INLINE Vec operator[](Words index) const {
    // vpermps reads three bits of the index; the fourth, moved to the sign, chooses the half.
    const __m256 top = _mm256_castsi256_ps(_mm256_slli_epi32(index.v, 28));
    return {_mm256_blendv_ps(_mm256_permutevar8x32_ps(low, index.v),
                             _mm256_permutevar8x32_ps(high, index.v), top)};
  }
};

INLAY_INLINE __m256i load_two_rows(const u8* const* rows, i64 r, i64 offset) {
  const auto row = [&](i64 i) {
    return _mm_loadu_si128(reinterpret_cast<const __m128i*>(rows[r + 4 * i] + offset));
  };
  return _mm256_inserti128_si256(_mm256_castsi128_si256(row(0)), row(1), 1);
}

INLAY_INLINE void transposed_words(const u8* const* rows, i64 offset, Words* word) {
  const __m256i r0 = load_two_rows(rows, 0, offset), r1 = load_two_rows(rows, 1, offset);
  const __m256i r2 = load_two_rows(rows, 2, offset), r3 = load_two_rows(rows, 3, offset);
  const __m256i low01 = _mm256_unpacklo_epi32(r0, r1), high01 = _mm256_unpackhi_epi32(r0, r1);
  const __m256i low23 = _mm256_unpacklo_epi32(r2, r3), high23 = _mm256_unpackhi_epi32(r2, r3);
  word[0] = {_mm256_unpacklo_epi64(low01, low23)};
  word[1] = {_mm256_unpackhi_epi64(low01, low23)};
  word[2] = {_mm256_unpacklo_epi64(high01, high23)};
  word[3] = {_mm256_unpackhi_epi64(high01, high23)};
}

#endif

/// 2^(23 - kFrom), whose last bit is worth what bit kFrom of a word is.
template <int kFrom>
constexpr float kPower = static_cast<float>(1 << (23 - kFrom));
template <int kFrom>
constexpr u32 kPowerBits = __builtin_bit_cast(u32, kPower<kFrom>);

/// 2^(23 - kFrom) + the number at bits [kFrom, kFrom + kBits).
template <int kFrom, int kBits>
INLAY_INLINE Words field(Words w) {
  static_assert(kFrom + kBits <= 23);
  return and_or(w, set_words(((1U << kBits) - 1U) << kFrom), set_words(kPowerBits<kFrom>));
}

/// The same of a signed byte that starts at kFrom, whose sign is turned over: q + 128.
template <int kFrom>
INLAY_INLINE Words signed_field(Words w) {
  static_assert(kFrom + 8 <= 23);
  return and_xor(w, set_words(0xFFU << kFrom), set_words(kPowerBits<kFrom> | 0x80U << kFrom));
}

/// q - kCentre
template <int kFrom, int kCentre>
INLAY_INLINE Vec centred(Words field) {
  return as_floats(field) - Vec::set(kPower<kFrom> + static_cast<float>(kCentre));
}

#if !defined(__AVX512F__)
template <int kFrom, int kCentre>
INLAY_INLINE Vec nibble(Words a) {
  constexpr int kHalf = kFrom / 16 * 16;
  return centred<kFrom - kHalf, kCentre>(field<kFrom - kHalf, 4>(shifted<-kHalf>(a)));
}
#endif

/// Bytes [offset, offset + bytes) of each row as words: an even number of them, from 16 on. No
/// byte behind them is read; some of the last are transposed twice.
INLAY_INLINE void transposed_bytes(const u8* const* rows, i64 offset, i64 bytes, Words* words) {
  const i64 whole = bytes / 4 * 4;
  for (i64 at = 0; at + 16 <= whole; at += 16) {
    transposed_words(rows, offset + at, words + at / 4);
  }
  if (whole % 16 != 0) {
    transposed_words(rows, offset + whole - 16, words + whole / 4 - 4);
  }
  if (whole < bytes) {
    u32 halves[Vec::kLanes];
    for (i64 n = 0; n < Vec::kLanes; ++n) {
      u16 half;
      __builtin_memcpy(&half, rows[n] + offset + whole, sizeof half);
      halves[n] = half;
    }
    words[whole / 4] = load_words(halves);
  }
}

/// Where value k of a group lies when byte i holds values i (low nibble) and i + 16 (high nibble):
/// from kFrom on in the word; shifted down by kHalf, a field of it fits a fraction.
template <int k>
struct SplitNibble {
  static constexpr int kWord = k % 16 / 4, kHalf = k % 4 / 2 * 16;
  static constexpr int kFrom = k % 4 * 8 + k / 16 * 4, kFieldFrom = kFrom - kHalf;
  INLAY_INLINE static Words of(const Words* words) { return words[kWord]; }
  INLAY_INLINE static Words field_of(const Words* words) { return shifted<-kHalf>(words[kWord]); }
};

/// The same when byte i holds value i.
template <int k>
struct WholeByte {
  static constexpr int kWord = k / 4, kHalf = k % 4 / 2 * 16;
  static constexpr int kFrom = k % 4 * 8, kFieldFrom = kFrom - kHalf;
  INLAY_INLINE static Words of(const Words* words) { return words[kWord]; }
  INLAY_INLINE static Words field_of(const Words* words) { return shifted<-kHalf>(words[kWord]); }
};

/// ORs bit k of `bits` into a field of four bits that starts at kFrom, as its fifth.
template <int kFrom, int k>
INLAY_INLINE Words with_fifth_bit(Words field, Words bits) {
  return and_or(shifted<kFrom + 4 - k>(bits), set_words(1U << (kFrom + 4)), field);
}

}  // namespace

#endif

}  // namespace inlay::kernels::INLAY_ISA
