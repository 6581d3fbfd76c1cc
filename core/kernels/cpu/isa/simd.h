// SPDX-License-Identifier: Apache-2.0
#pragma once

// Vectors of floats for the .isa.cc files: one source, compiled for AVX-512 (16 lanes), AVX2 (8
// lanes) and portable C++ (8 lanes, left to the compiler). Only an .isa.cc file may include this
// header: everything in it lives in the namespace of the instruction set being compiled.
//
//   Vec v = Vec::load(p);            unaligned
//   Vec t = Vec::load(p, n);         the first n < kLanes values, zeros behind
//   v.store(p);  v.store(p, n);
//   v.stream(p);                     past the caches; p is aligned to the vector
//   v.store_bf16(q);  v.store_bf16(q, n);   rounded as the processor's own conversion does it
//   max(a, b), min(a, b)             b where either is NaN, so a bound goes first: max(bound, x)
//                                    keeps a NaN in x
//   fma(a, b, c) = a * b + c         one rounding with AVX2 and AVX-512, two in the portable form
//   reduce_add(v)                    a fixed tree, halves first

#include "core/types.h"

#if !defined(INLAY_ISA)
#error "simd.h is for .isa.cc files"
#endif

#if defined(__AVX512F__) || defined(__AVX2__)
#include <immintrin.h>
#endif

namespace inlay::kernels::INLAY_ISA {
namespace {

/// The value of an IEEE half, exactly; a signalling NaN comes out quiet, as the processor's own
/// conversion does it.
inline float f16_to_f32(u16 bits) {
  const u32 sign = static_cast<u32>(bits & 0x8000U) << 16;
  const u32 magnitude = bits & 0x7FFFU;
  if (magnitude >= 0x7C00U) {  // infinities and NaNs
    const u32 quiet = magnitude > 0x7C00U ? 0x00400000U : 0U;
    return __builtin_bit_cast(float, sign | 0x7F800000U | quiet | ((magnitude & 0x3FFU) << 13));
  }
  // 2^112 moves the half's exponent to the float's bias, subnormals included.
  const float scaled = __builtin_bit_cast(float, magnitude << 13) * 0x1p112F;
  return __builtin_bit_cast(float, sign | __builtin_bit_cast(u32, scaled));
}

/// The nearest bf16, ties to even; a NaN comes out quiet.
inline u16 nearest_bf16(float value) {
  const u32 bits = __builtin_bit_cast(u32, value);
  if ((bits & 0x7FFFFFFFU) > 0x7F800000U) {
    return static_cast<u16>((bits >> 16) | 0x40U);
  }
  // Half of the last place kept, less one when that place is even: ties go to even.
  return static_cast<u16>((bits + 0x7FFFU + ((bits >> 16) & 1U)) >> 16);
}

/// The same as the processor's own conversion gives it: subnormal values become zeros.
inline u16 f32_to_bf16(float value) {
  const u32 bits = __builtin_bit_cast(u32, value);
  return (bits & 0x7F800000U) == 0 ? static_cast<u16>((bits >> 16) & 0x8000U) : nearest_bf16(value);
}

#if defined(__AVX512F__)

struct Vec {
  static constexpr i64 kLanes = 16;
  __m512 v;

  static Vec zero() { return {_mm512_setzero_ps()}; }
  static Vec set(float x) { return {_mm512_set1_ps(x)}; }
  static Vec load(const float* p) { return {_mm512_loadu_ps(p)}; }
  static Vec load(const float* p, i64 n) { return {_mm512_maskz_loadu_ps(mask(n), p)}; }
  static Vec load_bf16(const u16* p) {
    return widen_bf16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)));
  }
  static Vec load_bf16(const u16* p, i64 n) {
    return widen_bf16(_mm256_maskz_loadu_epi16(mask(n), p));
  }
  static Vec load_f16(const u16* p) {
    return {_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p)))};
  }
  static Vec load_f16(const u16* p, i64 n) {
    return {_mm512_cvtph_ps(_mm256_maskz_loadu_epi16(mask(n), p))};
  }
  void store(float* p) const { _mm512_storeu_ps(p, v); }
  void stream(float* p) const { _mm512_stream_ps(p, v); }
  void store(float* p, i64 n) const { _mm512_mask_storeu_ps(p, mask(n), v); }
  void store_bf16(u16* p) const {
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), rounded_bf16());
  }
  void store_bf16(u16* p, i64 n) const { _mm256_mask_storeu_epi16(p, mask(n), rounded_bf16()); }

 private:
  static __mmask16 mask(i64 n) { return static_cast<__mmask16>((1U << n) - 1U); }
  __m256i rounded_bf16() const {
#if defined(__AVX512BF16__)
    return reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(v));
#else  // as f32_to_bf16 does it
    const __m512i bits = _mm512_castps_si512(v);
    const __m512i kept = _mm512_srli_epi32(bits, 16);
    const __m512i even = _mm512_and_si512(kept, _mm512_set1_epi32(1));
    __m512i out = _mm512_add_epi32(bits, _mm512_add_epi32(even, _mm512_set1_epi32(0x7FFF)));
    out = _mm512_srli_epi32(out, 16);
    constexpr int kSubnormal = 0x20 | 0x02 | 0x04;  // or a zero
    out = _mm512_mask_and_epi32(out, _mm512_fpclass_ps_mask(v, kSubnormal), kept,
                                _mm512_set1_epi32(0x8000));
    constexpr int kNan = 0x01 | 0x80;
    out = _mm512_mask_or_epi32(out, _mm512_fpclass_ps_mask(v, kNan), kept, _mm512_set1_epi32(0x40));
    return _mm512_cvtepi32_epi16(out);
#endif
  }
  static Vec widen_bf16(__m256i bits) {
    return {_mm512_castsi512_ps(_mm512_slli_epi32(_mm512_cvtepu16_epi32(bits), 16))};
  }
};

inline Vec operator+(Vec a, Vec b) {
  return {_mm512_add_ps(a.v, b.v)};
}
inline Vec operator-(Vec a, Vec b) {
  return {_mm512_sub_ps(a.v, b.v)};
}
inline Vec operator*(Vec a, Vec b) {
  return {_mm512_mul_ps(a.v, b.v)};
}
inline Vec operator/(Vec a, Vec b) {
  return {_mm512_div_ps(a.v, b.v)};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm512_fmadd_ps(a.v, b.v, c.v)};
}
inline Vec max(Vec a, Vec b) {
  return {_mm512_max_ps(a.v, b.v)};
}
inline Vec min(Vec a, Vec b) {
  return {_mm512_min_ps(a.v, b.v)};
}
inline Vec sqrt(Vec a) {
  return {_mm512_sqrt_ps(a.v)};
}
inline Vec floor(Vec a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
}
inline Vec round(Vec a) {
  return {_mm512_roundscale_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
/// a * 2^n for integral n in [-200, 200]
inline Vec scale_by_power_of_two(Vec a, Vec n) {
  return {_mm512_scalef_ps(a.v, n.v)};
}
/// condition ? a : b, lane by lane, where `condition` is x < y
inline Vec select_less(Vec x, Vec y, Vec a, Vec b) {
  return {_mm512_mask_blend_ps(_mm512_cmp_ps_mask(x.v, y.v, _CMP_LT_OQ), b.v, a.v)};
}
inline float reduce_add(Vec a) {
  const __m256 half = _mm256_add_ps(_mm512_castps512_ps256(a.v), _mm512_extractf32x8_ps(a.v, 1));
  const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(half), _mm256_extractf128_ps(half, 1));
  const __m128 pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
  return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}
inline float reduce_max(Vec a) {
  return _mm512_reduce_max_ps(a.v);
}

#elif defined(__AVX2__)

alignas(64) inline constexpr i32 kMaskWindow[16] = {-1, -1, -1, -1, -1, -1, -1, -1,
                                                    0,  0,  0,  0,  0,  0,  0,  0};

struct Vec {
  static constexpr i64 kLanes = 8;
  __m256 v;

  static Vec zero() { return {_mm256_setzero_ps()}; }
  static Vec set(float x) { return {_mm256_set1_ps(x)}; }
  static Vec load(const float* p) { return {_mm256_loadu_ps(p)}; }
  static Vec load(const float* p, i64 n) { return {_mm256_maskload_ps(p, mask(n))}; }
  static Vec load_bf16(const u16* p) {
    return widen_bf16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)));
  }
  static Vec load_bf16(const u16* p, i64 n) { return widen_bf16(load_16(p, n)); }
  static Vec load_f16(const u16* p) {
    return {_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p)))};
  }
  static Vec load_f16(const u16* p, i64 n) { return {_mm256_cvtph_ps(load_16(p, n))}; }
  void store(float* p) const { _mm256_storeu_ps(p, v); }
  void stream(float* p) const { _mm256_stream_ps(p, v); }
  void store(float* p, i64 n) const { _mm256_maskstore_ps(p, mask(n), v); }
  void store_bf16(u16* p) const { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), rounded_bf16()); }
  void store_bf16(u16* p, i64 n) const {
    alignas(16) u16 lanes[kLanes];
    _mm_store_si128(reinterpret_cast<__m128i*>(lanes), rounded_bf16());
    for (i64 i = 0; i < n; ++i) {
      p[i] = lanes[i];
    }
  }

 private:
  static __m256i mask(i64 n) {
    return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(kMaskWindow + 8 - n));
  }
  // As f32_to_bf16 does it.
  __m128i rounded_bf16() const {
    const __m256i bits = _mm256_castps_si256(v);
    const __m256i kept = _mm256_srli_epi32(bits, 16);
    const __m256i even = _mm256_and_si256(kept, _mm256_set1_epi32(1));
    __m256i out = _mm256_add_epi32(bits, _mm256_add_epi32(even, _mm256_set1_epi32(0x7FFF)));
    out = _mm256_srli_epi32(out, 16);
    const __m256i magnitude = _mm256_and_si256(bits, _mm256_set1_epi32(0x7FFFFFFF));
    const __m256i small = _mm256_cmpgt_epi32(_mm256_set1_epi32(0x00800000), magnitude);
    out = _mm256_blendv_epi8(out, _mm256_and_si256(kept, _mm256_set1_epi32(0x8000)), small);
    const __m256i nan = _mm256_cmpgt_epi32(magnitude, _mm256_set1_epi32(0x7F800000));
    out = _mm256_blendv_epi8(out, _mm256_or_si256(kept, _mm256_set1_epi32(0x40)), nan);
    return _mm_packus_epi32(_mm256_castsi256_si128(out), _mm256_extracti128_si256(out, 1));
  }
  static __m128i load_16(const u16* p, i64 n) {
    alignas(16) u16 lanes[8] = {};
    for (i64 i = 0; i < n; ++i) {
      lanes[i] = p[i];
    }
    return _mm_load_si128(reinterpret_cast<const __m128i*>(lanes));
  }
  static Vec widen_bf16(__m128i bits) {
    return {_mm256_castsi256_ps(_mm256_slli_epi32(_mm256_cvtepu16_epi32(bits), 16))};
  }
};

inline Vec operator+(Vec a, Vec b) {
  return {_mm256_add_ps(a.v, b.v)};
}
inline Vec operator-(Vec a, Vec b) {
  return {_mm256_sub_ps(a.v, b.v)};
}
inline Vec operator*(Vec a, Vec b) {
  return {_mm256_mul_ps(a.v, b.v)};
}
inline Vec operator/(Vec a, Vec b) {
  return {_mm256_div_ps(a.v, b.v)};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return {_mm256_fmadd_ps(a.v, b.v, c.v)};
}
inline Vec max(Vec a, Vec b) {
  return {_mm256_max_ps(a.v, b.v)};
}
inline Vec min(Vec a, Vec b) {
  return {_mm256_min_ps(a.v, b.v)};
}
inline Vec sqrt(Vec a) {
  return {_mm256_sqrt_ps(a.v)};
}
inline Vec floor(Vec a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
}
inline Vec round(Vec a) {
  return {_mm256_round_ps(a.v, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC)};
}
inline Vec scale_by_power_of_two(Vec a, Vec n) {
  // In two halves: 2^n alone overflows the exponent field for |n| > 127.
  const __m256i whole = _mm256_cvtps_epi32(n.v);
  const __m256i half = _mm256_srai_epi32(whole, 1);
  const __m256i rest = _mm256_sub_epi32(whole, half);
  const __m256i bias = _mm256_set1_epi32(127);
  const __m256 first = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(half, bias), 23));
  const __m256 second = _mm256_castsi256_ps(_mm256_slli_epi32(_mm256_add_epi32(rest, bias), 23));
  return {_mm256_mul_ps(_mm256_mul_ps(a.v, first), second)};
}
inline Vec select_less(Vec x, Vec y, Vec a, Vec b) {
  return {_mm256_blendv_ps(b.v, a.v, _mm256_cmp_ps(x.v, y.v, _CMP_LT_OQ))};
}
inline float reduce_add(Vec a) {
  const __m128 quarter = _mm_add_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 pair = _mm_add_ps(quarter, _mm_movehl_ps(quarter, quarter));
  return _mm_cvtss_f32(_mm_add_ss(pair, _mm_movehdup_ps(pair)));
}
inline float reduce_max(Vec a) {
  const __m128 quarter = _mm_max_ps(_mm256_castps256_ps128(a.v), _mm256_extractf128_ps(a.v, 1));
  const __m128 pair = _mm_max_ps(quarter, _mm_movehl_ps(quarter, quarter));
  return _mm_cvtss_f32(_mm_max_ss(pair, _mm_movehdup_ps(pair)));
}

#else

// Two vectors of four, which SSE2 and NEON have, in the compiler's own vector type: an array of
// floats would be left to its guesses.
struct Vec {
  static constexpr i64 kLanes = 8;
  using Half = float __attribute__((vector_size(16)));
  Half low, high;

  template <class F>
  static Vec make(F lane) {
    return {Half{lane(0), lane(1), lane(2), lane(3)}, Half{lane(4), lane(5), lane(6), lane(7)}};
  }
  static Vec zero() { return set(0.0F); }
  static Vec set(float x) { return {Half{x, x, x, x}, Half{x, x, x, x}}; }
  static Vec load(const float* p) {
    Vec out;
    __builtin_memcpy(&out.low, p, sizeof out.low);
    __builtin_memcpy(&out.high, p + 4, sizeof out.high);
    return out;
  }
  static Vec load(const float* p, i64 n) {
    return make([&](i64 i) { return i < n ? p[i] : 0.0F; });
  }
  static Vec load_bf16(const u16* p, i64 n = kLanes) {
    return make([&](i64 i) {
      return i < n ? __builtin_bit_cast(float, static_cast<u32>(p[i]) << 16) : 0.0F;
    });
  }
  static Vec load_f16(const u16* p, i64 n = kLanes) {
    return make([&](i64 i) { return i < n ? f16_to_f32(p[i]) : 0.0F; });
  }
  void stream(float* p) const { store(p); }
  void store(float* p) const {
    __builtin_memcpy(p, &low, sizeof low);
    __builtin_memcpy(p + 4, &high, sizeof high);
  }
  void store(float* p, i64 n) const {
    for (i64 i = 0; i < n; ++i) {
      p[i] = lane(i);
    }
  }
  void store_bf16(u16* p, i64 n = kLanes) const {
    for (i64 i = 0; i < n; ++i) {
      p[i] = f32_to_bf16(lane(i));
    }
  }
  float lane(i64 i) const { return i < 4 ? low[i] : high[i - 4]; }
};

inline Vec operator+(Vec a, Vec b) {
  return {a.low + b.low, a.high + b.high};
}
inline Vec operator-(Vec a, Vec b) {
  return {a.low - b.low, a.high - b.high};
}
inline Vec operator*(Vec a, Vec b) {
  return {a.low * b.low, a.high * b.high};
}
inline Vec operator/(Vec a, Vec b) {
  return {a.low / b.low, a.high / b.high};
}
inline Vec fma(Vec a, Vec b, Vec c) {
  return a * b + c;
}
inline Vec max(Vec a, Vec b) {
  return {a.low > b.low ? a.low : b.low, a.high > b.high ? a.high : b.high};
}
inline Vec min(Vec a, Vec b) {
  return {a.low < b.low ? a.low : b.low, a.high < b.high ? a.high : b.high};
}
inline Vec sqrt(Vec a) {
  return Vec::make([&](i64 i) { return __builtin_sqrtf(a.lane(i)); });
}
inline Vec floor(Vec a) {
  return Vec::make([&](i64 i) { return __builtin_floorf(a.lane(i)); });
}
inline Vec round(Vec a) {
  return Vec::make([&](i64 i) { return __builtin_rintf(a.lane(i)); });
}
inline Vec scale_by_power_of_two(Vec a, Vec n) {
  return Vec::make([&](i64 i) {
    const i32 whole = static_cast<i32>(n.lane(i));
    const i32 half = whole >> 1;
    const float first = __builtin_bit_cast(float, static_cast<u32>(half + 127) << 23);
    const float second = __builtin_bit_cast(float, static_cast<u32>(whole - half + 127) << 23);
    return a.lane(i) * first * second;
  });
}
inline Vec select_less(Vec x, Vec y, Vec a, Vec b) {
  return {x.low < y.low ? a.low : b.low, x.high < y.high ? a.high : b.high};
}
inline float reduce_add(Vec a) {
  const Vec::Half half = a.low + a.high;
  return (half[0] + half[2]) + (half[1] + half[3]);
}
inline float reduce_max(Vec a) {
  float out = a.lane(0);
  for (i64 i = 1; i < Vec::kLanes; ++i) {
    out = out < a.lane(i) ? a.lane(i) : out;
  }
  return out;
}

#endif

inline Vec operator-(Vec a) {
  return Vec::zero() - a;
}

/// To be called when the last of some streamed values is written: others may read them then.
inline void finish_streams() {
#if defined(__AVX512F__) || defined(__AVX2__)
  _mm_sfence();
#endif
}

/// Runs body(i, lanes) over [0, n) a vector at a time, for a body generic in `lanes`: AllLanes, and
/// at the end the number of values left. load(p, lanes) and store(v, p, lanes) take either.
struct AllLanes {};
inline Vec load(const float* p, AllLanes) {
  return Vec::load(p);
}
inline Vec load(const float* p, i64 n) {
  return Vec::load(p, n);
}
inline Vec load(const u16* p, AllLanes) {
  return Vec::load_bf16(p);
}
inline Vec load(const u16* p, i64 n) {
  return Vec::load_bf16(p, n);
}
inline void store(Vec v, u16* p, AllLanes) {
  v.store_bf16(p);
}
inline void store(Vec v, u16* p, i64 n) {
  v.store_bf16(p, n);
}
inline void store(Vec v, float* p, AllLanes) {
  v.store(p);
}
inline void store(Vec v, float* p, i64 n) {
  v.store(p, n);
}
template <class Body>
inline void sweep(i64 n, Body body) {
  i64 i = 0;
  for (; i + Vec::kLanes <= n; i += Vec::kLanes) {
    body(i, AllLanes());
  }
  if (i < n) {
    body(i, n - i);
  }
}

/// 2^x: 0 below -150, +inf above 128; a NaN stays one. Relative error below 2e-7 for results in the
/// normal range (degree-5 minimax on [0, 1]: 8e-8, and the roundings); exact at whole numbers.
inline Vec exp2(Vec x) {
#if defined(__AVX512F__)
  // vscalefps takes the floor of its exponent, whatever its size, and the remainder of an infinity
  // is 0: neither a clamp nor the whole part is needed.
  const Vec whole = x;
  const Vec rest = {_mm512_reduce_ps(x.v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC)};
#else
  // Beyond these bounds 2^x has left the float range.
  const Vec clamped = min(Vec::set(129.0F), max(Vec::set(-151.0F), x));
  const Vec whole = floor(clamped);
  const Vec rest = clamped - whole;
#endif
  Vec p = Vec::set(0x1.e974fap-10F);
  p = fma(p, rest, Vec::set(0x1.277856p-7F));
  p = fma(p, rest, Vec::set(0x1.c91ce4p-5F));
  p = fma(p, rest, Vec::set(0x1.ebdb5cp-3F));
  p = fma(p, rest, Vec::set(0x1.62e4bap-1F));
  p = fma(p, rest, Vec::set(1.0F));
  return scale_by_power_of_two(p, whole);
}

/// e^x: 0 below -104, +inf above 89; a NaN stays one. Relative error below 2e-7 for results in the
/// normal range.
inline Vec exp(Vec x) {
  // x = n ln 2 + r with ln 2 in two parts, so that r keeps its low bits; then e^r, |r| <= 0.347, by
  // the minimax polynomial of degree 6 (2e-9; degree 5 would cost 9e-8).
  const Vec clamped = min(Vec::set(89.0F), max(Vec::set(-104.0F), x));
  const Vec whole = round(clamped * Vec::set(1.44269504089F));
  Vec r = fma(whole, Vec::set(-0.693359375F), clamped);
  r = fma(whole, Vec::set(2.12194440e-4F), r);
  Vec p = Vec::set(0x1.6ae720p-10F);
  p = fma(p, r, Vec::set(0x1.126792p-7F));
  p = fma(p, r, Vec::set(0x1.555822p-5F));
  p = fma(p, r, Vec::set(0x1.55541ap-3F));
  p = fma(p, r, Vec::set(0x1.fffffcp-2F));
  p = fma(p, r, Vec::set(1.0F));
  p = fma(p, r, Vec::set(1.0F));
  return scale_by_power_of_two(p, whole);
}

/// 1 / (1 + e^-x)
inline Vec sigmoid(Vec x) {
  return Vec::set(1.0F) / (Vec::set(1.0F) + exp(-x));
}

/// tanh x = 1 - 2 / (e^2x + 1), and x - x^3/3 + 2 x^5/15 near 0, where that form would cancel.
inline Vec tanh(Vec x) {
  const Vec large = Vec::set(1.0F) - Vec::set(2.0F) / (exp(x + x) + Vec::set(1.0F));
  const Vec s = x * x;
  Vec p = fma(s, Vec::set(-1382.0F / 155925.0F), Vec::set(62.0F / 2835.0F));
  p = fma(p, s, Vec::set(-17.0F / 315.0F));
  p = fma(p, s, Vec::set(2.0F / 15.0F));
  p = fma(p, s, Vec::set(-1.0F / 3.0F));
  const Vec small = fma(p * s, x, x);
  return select_less(s, Vec::set(0.0625F), small, large);
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
