// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/simd.h"
#include "core/kernels/cpu/products/gemm_int8_kernels.h"

// How the operands of 8-bit products get their 8 bits, and are stored in the panels of the
// instruction set being compiled: for gemm_int8.isa.cc.
namespace inlay::kernels::INLAY_ISA {
namespace {

#define INLAY_UNROLL_ALL _Pragma("GCC unroll 16")

#if defined(__AMX_INT8__)
constexpr i64 kHeight = 32, kWidth = 16;
using CodeOfA = i8;
constexpr i32 kOffset = 0;
#elif defined(__AVX512VNNI__)
constexpr i64 kHeight = 7, kWidth = 32;
using CodeOfA = u8;
constexpr i32 kOffset = 128;
#elif defined(__AVX512F__)
constexpr i64 kHeight = 8, kWidth = 16;
using CodeOfA = i16;
constexpr i32 kOffset = 0;
#elif defined(__AVX2__)
constexpr i64 kHeight = 4, kWidth = 16;
using CodeOfA = i16;
constexpr i32 kOffset = 0;
#else
constexpr i64 kHeight = 4, kWidth = 16;
using CodeOfA = i8;
constexpr i32 kOffset = 0;
#endif

constexpr i64 kQuads = kInt8Block / 4;
constexpr i64 kCodesOfA = kInt8Block * static_cast<i64>(sizeof(CodeOfA));  // bytes, a row
constexpr i64 kScalesOfA = kHeight * kCodesOfA;                            // where they are
constexpr i64 kBytesOfA = (kScalesOfA + kHeight * 4 + 63) / 64 * 64;
constexpr i64 kScalesOfB = kWidth * 4;
constexpr i64 kCodesOfB = kWidth * 8;
constexpr i64 kBytesOfB = kWidth * kInt8ColumnBytes;

// The code of x is the low byte of x (127 / absmax) + 1.5 * 2^23: a float so large has no fraction
// left, and what follows its leading bits is the whole number in two's complement, rounded to
// nearest even. Magnitudes are compared as integers, which orders NaNs above all numbers.

constexpr float kWholes = 0x1.8p23F;
constexpr u32 kWholesBits = 0x4B400000U;
constexpr u32 kMagnitude = 0x7FFFFFFFU;
constexpr u32 kInfinityBits = 0x7F800000U;
constexpr u32 kMinBits = (127U - 100U) << 23;  // 2^-100

u32 bits_of(float x) {
  return __builtin_bit_cast(u32, x);
}

// Of a block whose largest magnitude has these bits.
float scale_of(u32 largest) {
  const float scale = largest < kMinBits ? 0.0F : __builtin_bit_cast(float, largest) / 127.0F;
  return largest >= kInfinityBits ? __builtin_nanf("") : scale;
}

float factor_of(u32 largest) {
  const bool is_zero = largest < kMinBits || largest >= kInfinityBits;
  return is_zero ? 0.0F : 127.0F / __builtin_bit_cast(float, largest);
}

// 64 codes, `kAdded` added to each; returns their scale.
template <class Code, i32 kAdded>
float quantise_block(const float* values, Code* codes) {
  u32 largest = 0;
  for (i64 k = 0; k < kInt8Block; ++k) {
    const u32 magnitude = bits_of(values[k]) & kMagnitude;
    largest = magnitude > largest ? magnitude : largest;
  }
  const float factor = factor_of(largest);
  for (i64 k = 0; k < kInt8Block; ++k) {
    const u32 whole = bits_of(values[k] * factor + kWholes) - kWholesBits;
    // One byte of it even where a NaN left more.
    codes[k] = static_cast<Code>(static_cast<i32>(static_cast<i8>(whole)) + kAdded);
  }
  return scale_of(largest);
}

template <class Code, i32 kAdded>
float quantise_some(const float* values, i64 count, Code* codes) {
  if (count >= kInt8Block) {
    return quantise_block<Code, kAdded>(values, codes);
  }
  float whole[kInt8Block] = {};
  __builtin_memcpy(whole, values, count * sizeof(float));
  return quantise_block<Code, kAdded>(whole, codes);
}

void quantise(const float* values, i64 count, i8* codes, float* scales) {
  for (i64 k = 0; k < count; k += kInt8Block) {
    *scales++ = quantise_some<i8, 0>(values + k, count - k, codes + k);
  }
}

#if defined(__AVX512VNNI__)

// The same for four blocks at once, whose maxima share most of their shuffles, and whose factors a
// division.
constexpr i64 kFour = 4;

__m512i largest_of(const float* values) {
  const __m512i magnitude = _mm512_set1_epi32(static_cast<i32>(kMagnitude));
  const auto load = [&](i64 k) {
    return _mm512_and_si512(_mm512_loadu_si512(values + k), magnitude);
  };
  return _mm512_max_epu32(_mm512_max_epu32(load(0), load(16)),
                          _mm512_max_epu32(load(32), load(48)));
}

// Lane b of the result: the largest lane of block b.
__m128i largest_of_four(const float* const* values) {
  const auto pairs = [&](i64 first) {
    const __m512i a = largest_of(values[first]), b = largest_of(values[first + 1]);
    return _mm512_max_epu32(_mm512_unpacklo_epi32(a, b), _mm512_unpackhi_epi32(a, b));
  };
  const __m512i ab = pairs(0), cd = pairs(2);
  const __m512i four =
      _mm512_max_epu32(_mm512_unpacklo_epi64(ab, cd), _mm512_unpackhi_epi64(ab, cd));
  const __m256i half =
      _mm256_max_epu32(_mm512_castsi512_si256(four), _mm512_extracti64x4_epi64(four, 1));
  return _mm_max_epu32(_mm256_castsi256_si128(half), _mm256_extracti128_si256(half, 1));
}

void quantise_four(const float* const* values, CodeOfA* const* codes, float* const* scales) {
  const __m128i largest = largest_of_four(values);
  const __m128 size = _mm_castsi128_ps(largest);
  const __mmask8 zero = _mm_cmplt_epu32_mask(largest, _mm_set1_epi32(kMinBits));
  const __mmask8 bad = _mm_cmpge_epu32_mask(largest, _mm_set1_epi32(kInfinityBits));
  const auto none = static_cast<__mmask8>(~(zero | bad));
  const __m128 most = _mm_set1_ps(127.0F);
  alignas(16) float scale[kFour], factor[kFour];
  _mm_store_ps(factor, _mm_maskz_div_ps(none, most, size));
  _mm_store_ps(scale, _mm_mask_mov_ps(_mm_maskz_div_ps(none, size, most), bad,
                                      _mm_set1_ps(__builtin_nanf(""))));
  // Packing goes by 128-bit lanes; this puts the dwords back in order.
  const __m512i order = _mm512_setr_epi32(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  const __m512i added = _mm512_set1_epi8(static_cast<char>(kOffset));
  INLAY_UNROLL_ALL
  for (i64 b = 0; b < kFour; ++b) {
    const __m512 by = _mm512_set1_ps(factor[b]);
    const auto whole = [&](i64 k) {
      return _mm512_cvtps_epi32(_mm512_mul_ps(_mm512_loadu_ps(values[b] + k), by));
    };
    const __m512i bytes = _mm512_packs_epi16(_mm512_packs_epi32(whole(0), whole(16)),
                                             _mm512_packs_epi32(whole(32), whole(48)));
    _mm512_storeu_si512(codes[b], _mm512_xor_si512(_mm512_permutexvar_epi32(order, bytes), added));
    *scales[b] = scale[b];
  }
}

// Whole blocks of the rows there are, four by four.
void pack_whole_blocks(const float* a, i64 row_stride, i64 rows, i64 blocks, u8* to) {
  const float* values[kFour];
  CodeOfA* codes[kFour];
  float* scales[kFour];
  i64 count = 0;
  for (i64 r = 0; r < rows; ++r) {
    for (i64 n = 0; n < blocks; ++n) {
      u8* block = to + n * kBytesOfA;
      values[count] = a + r * row_stride + n * kInt8Block;
      codes[count] = reinterpret_cast<CodeOfA*>(block + r * kCodesOfA);
      scales[count] = reinterpret_cast<float*>(block + kScalesOfA) + r;
      if (++count == kFour) {
        quantise_four(values, codes, scales);
        count = 0;
      }
    }
  }
  for (i64 b = 0; b < count; ++b) {
    *scales[b] = quantise_block<CodeOfA, kOffset>(values[b], codes[b]);
  }
}

#else

void pack_whole_blocks(const float* a, i64 row_stride, i64 rows, i64 blocks, u8* to) {
  for (i64 r = 0; r < rows; ++r) {
    for (i64 n = 0; n < blocks; ++n) {
      u8* block = to + n * kBytesOfA;
      reinterpret_cast<float*>(block + kScalesOfA)[r] = quantise_block<CodeOfA, kOffset>(
          a + r * row_stride + n * kInt8Block, reinterpret_cast<CodeOfA*>(block + r * kCodesOfA));
    }
  }
}

#endif

void pack_rows(const float* a, i64 row_stride, i64 rows, i64 K, u8* to) {
  const i64 blocks = K / kInt8Block;
  const i64 rest = K % kInt8Block;
  pack_whole_blocks(a, row_stride, rows, blocks, to);
  u8* last = to + blocks * kBytesOfA;
  for (i64 r = 0; r < rows && rest > 0; ++r) {
    reinterpret_cast<float*>(last + kScalesOfA)[r] =
        quantise_some<CodeOfA, kOffset>(a + r * row_stride + blocks * kInt8Block, rest,
                                        reinterpret_cast<CodeOfA*>(last + r * kCodesOfA));
  }
  for (u8* block = to; rows < kHeight && block < last + (rest > 0 ? kBytesOfA : 0);
       block += kBytesOfA) {
    __builtin_memset(block + rows * kCodesOfA, 0, (kHeight - rows) * kCodesOfA);
    __builtin_memset(block + kScalesOfA + rows * 4, 0, (kHeight - rows) * 4);
  }
}

void look_up(const u8* nibbles, const i8* table, i8* codes) {
#if defined(__AVX512F__)
  const __m256i packed = _mm256_loadu_si256(reinterpret_cast<const __m256i*>(nibbles));
  const __m512i pairs = _mm512_cvtepu8_epi16(packed);
  const __m512i low_bits = _mm512_set1_epi16(15);
  const __m512i index = _mm512_or_si512(_mm512_srli_epi16(pairs, 4),
                                        _mm512_slli_epi16(_mm512_and_si512(pairs, low_bits), 8));
  const __m512i entries =
      _mm512_broadcast_i32x4(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  _mm512_storeu_si512(codes, _mm512_shuffle_epi8(entries, index));
#elif defined(__AVX2__)
  const __m256i entries =
      _mm256_broadcastsi128_si256(_mm_loadu_si128(reinterpret_cast<const __m128i*>(table)));
  for (i64 half = 0; half < 2; ++half) {
    const __m256i pairs = _mm256_cvtepu8_epi16(
        _mm_loadu_si128(reinterpret_cast<const __m128i*>(nibbles + 16 * half)));
    const __m256i low_bits = _mm256_set1_epi16(15);
    const __m256i index = _mm256_or_si256(_mm256_srli_epi16(pairs, 4),
                                          _mm256_slli_epi16(_mm256_and_si256(pairs, low_bits), 8));
    _mm256_storeu_si256(reinterpret_cast<__m256i*>(codes + 32 * half),
                        _mm256_shuffle_epi8(entries, index));
  }
#else
  for (i64 i = 0; i < kInt8Block / 2; ++i) {
    codes[2 * i] = table[nibbles[i] >> 4];
    codes[2 * i + 1] = table[nibbles[i] & 15];
  }
#endif
}

// Sixteen columns at a time: what a vector of the widest set holds.
constexpr i64 kColumns = 16;

void pack_sixteen(const float* b, i64 row_stride, u8* block, i64 column) {
  u32 largest[kColumns] = {};
  for (i64 k = 0; k < kInt8Block; ++k) {
    for (i64 j = 0; j < kColumns; ++j) {
      const u32 magnitude = bits_of(b[k * row_stride + j]) & kMagnitude;
      largest[j] = magnitude > largest[j] ? magnitude : largest[j];
    }
  }
  float factor[kColumns];
  auto* scales = reinterpret_cast<float*>(block + kScalesOfB) + column;
  for (i64 j = 0; j < kColumns; ++j) {
    factor[j] = factor_of(largest[j]);
    scales[j] = scale_of(largest[j]);
  }
  auto* codes = reinterpret_cast<u32*>(block + kCodesOfB) + column;
  for (i64 q = 0; q < kQuads; ++q) {
    const float* row = b + 4 * q * row_stride;
    u32 quads[kColumns];
    for (i64 j = 0; j < kColumns; ++j) {
      const auto byte = [&](i64 s) {
        return bits_of(row[s * row_stride + j] * factor[j] + kWholes) & 255U;
      };
      quads[j] = byte(0) | byte(1) << 8 | byte(2) << 16 | byte(3) << 24;
    }
    __builtin_memcpy(codes + q * kWidth, quads, sizeof quads);
  }
}

void pack_columns(const float* b, i64 row_stride, i64 steps, i64 columns, u8* block) {
  for (i64 j = 0; j < kWidth; j += kColumns) {
    const i64 count = columns - j < kColumns ? (columns > j ? columns - j : 0) : kColumns;
    if (count == kColumns && steps == kInt8Block) {
      pack_sixteen(b + j, row_stride, block, j);
      continue;
    }
    float whole[kInt8Block * kColumns] = {};
    for (i64 k = 0; k < steps; ++k) {
      __builtin_memcpy(whole + k * kColumns, b + k * row_stride + j, count * sizeof(float));
    }
    pack_sixteen(whole, kColumns, block, j);
  }
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
