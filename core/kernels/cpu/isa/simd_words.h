// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/simd.h"

// 32-bit words, one a lane, and numbers packed in them, for the .isa.cc files of AVX2 and AVX-512.
//
// A number q of a few bits becomes a float in place: the word but for its bits is, as an
// integer, q 2^s, and that is a float too. Multiplied with 2^-s d, of a scale d, it is q d: powers
// of two change no digit. So the values that the formats define take an AND, a conversion and an
// fma, for each of which the scales 2^-s d of all places s are made once a group:
//
//   fma(q 2^s, 2^-s d, m)        for q d + m, rounded once
//   fma(q 2^s, 2^-s d, -c d)     for (q - c) d, rounded once: q d and c d are exact inside the fma
//                                (of an infinite d, which no checkpoint has, it makes a NaN)
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
INLAY_INLINE Words operator^(Words a, Words b) {
  return {_mm512_xor_si512(a.v, b.v)};
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
/// The words as signed integers, as floats.
INLAY_INLINE Vec to_floats(Words a) {
  return {_mm512_cvtepi32_ps(a.v)};
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
INLAY_INLINE Words operator^(Words a, Words b) {
  return {_mm256_xor_si256(a.v, b.v)};
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
INLAY_INLINE Vec to_floats(Words a) {
  return {_mm256_cvtepi32_ps(a.v)};
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

/// The scales for numbers of kBits at the places 0, kStep, ... of a word.
template <int kStep, int kBits>
class PlaceScales {
 public:
  INLAY_INLINE explicit PlaceScales(Vec scale) {
    for (int i = 0; i < kPlaces; ++i) {
      const u32 unit = ends_below_sign(i * kStep) ? 1U << i * kStep : 1U;
      scales_[i] = scale * Vec::set(1.0F / static_cast<float>(unit));
    }
  }
  /// The number at kFrom of each word times the scale, plus c.
  template <int kFrom>
  INLAY_INLINE Vec scaled(Words w, Vec c) const {
    constexpr u32 kMask = ((1U << kBits) - 1U) << kFrom;
    return scaled_alone<kFrom>(ends_below_sign(kFrom) ? w & set_words(kMask) : shifted<-kFrom>(w),
                               c);
  }
  /// The same of words in which nothing else is.
  template <int kFrom>
  INLAY_INLINE Vec scaled_alone(Words w, Vec c) const {
    return fma(to_floats(w), scales_[kFrom / kStep], c);
  }

 private:
  static constexpr int kPlaces = 32 / kStep;
  /// The last number of a word may not: it is moved down before it is converted.
  static constexpr bool ends_below_sign(int from) { return from + kBits < 32; }

  Vec scales_[kPlaces];
};

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

/// Where value k of a group is when byte i holds values i (low nibble) and i + 16 (high nibble).
template <int k>
struct SplitNibble {
  static constexpr int kWord = k % 16 / 4, kFrom = k % 4 * 8 + k / 16 * 4;
};

/// The same when byte i holds value i.
template <int k>
struct WholeByte {
  static constexpr int kWord = k / 4, kFrom = k % 4 * 8;
};

}  // namespace

#endif

}  // namespace inlay::kernels::INLAY_ISA
