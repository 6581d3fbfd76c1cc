// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/gemm_int8_kernels.h"
#include "core/kernels/simd.h"
#if defined(__AMX_INT8__)
#include "core/kernels/amx.h"
#endif

// The register tile of 8-bit products, and how operands get their 8 bits.
//
//   AMX           32 x 16, half by half: a tile register gets the 16 x 16 sums of a block, and
//                 leaves them in memory, from where they are added to 16 vectors of f32
//   AVX-512 VNNI  7 x 32: 14 vectors of i32 sums + 14 of f32 + 2 of B + 1 of A, of 32 registers
//   AVX-512       8 x 16: codes widened to 16 bits, two of whose products make an i32
//   AVX2          4 x 16: the same
//   portable      4 x 16, plain loops
//
// vpdpbusd multiplies unsigned bytes with signed ones: A's codes have 128 added there, and sums
// start from -128 times the sum of B's codes. Nowhere is a sum of 64 steps rounded: it stays below
// 2^21, so which instructions it is made of makes no difference.
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

// ---- quantising
// ----------------------------------------------------------------------------------
//
// The code of x is the low byte of x (127 / absmax) + 1.5 * 2^23: a float so large has no fraction
// left, and what follows its leading bits is the whole number in two's complement, rounded to
// nearest even. Magnitudes are compared as integers, which orders NaNs above all numbers.

constexpr float kWholes = 0x1.8p23F;
constexpr u32 kWholesBits = 0x4B400000U;
constexpr u32 kMagnitude = 0x7FFFFFFFU;
constexpr u32 kInfinityBits = 0x7F800000U;
constexpr u32 kLeastBits = (127U - 100U) << 23;  // 2^-100

u32 bits_of(float x) {
  return __builtin_bit_cast(u32, x);
}

// Of a block whose largest magnitude has these bits.
float scale_of(u32 largest) {
  const float scale = largest < kLeastBits ? 0.0F : __builtin_bit_cast(float, largest) / 127.0F;
  return largest >= kInfinityBits ? __builtin_nanf("") : scale;
}

float factor_of(u32 largest) {
  const bool is_zero = largest < kLeastBits || largest >= kInfinityBits;
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
  const __mmask8 zero = _mm_cmplt_epu32_mask(largest, _mm_set1_epi32(kLeastBits));
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

// ---- the products of a block
// ---------------------------------------------------------------------

#if defined(__AVX512VNNI__)

// A vector of C, at the start of a tile and at its end: time enough to bring it near.
[[gnu::always_inline]] inline void fetch(float* c, bool stream) {
  if (!stream) {
    __builtin_prefetch(c, 1);
  }
}

[[gnu::always_inline]] inline void write(__m512 value, float* c, bool stream) {
  if (stream) {
    _mm512_stream_ps(c, value);
  } else {
    _mm512_storeu_ps(c, value);
  }
}

#endif

#if defined(__AMX_INT8__)

void finish_block(u8* block) {
  __builtin_memset(block, 0, kWidth * 4);
}

void begin() {
  _tile_loadconfig(&kTileShapes);
}

void end() {
  _tile_release();
}

constexpr i64 kTile = 16;  // rows of a tile register, and dwords of its rows

// Half of a tile of C.
struct Half {
  __m512 sum[kTile];
};

// whole[16, 16] = the sums of a block.
[[gnu::always_inline]] inline void multiply_block(const u8* a, const u8* b, i32* whole) {
  _tile_zero(0);
  _tile_loadd(1, a, kInt8Block);
  _tile_loadd(2, b + kCodesOfB, kWidth * 4);
  _tile_dpbssd(0, 1, 2);
  _tile_stored(0, whole, kTile * 4);
}

// `half` is 0 or 1. The tile registers are a block ahead: a product takes as long as adding the one
// before.
[[gnu::always_inline]] inline void add_blocks(Half& tile, i64 half, i64 blocks, const u8* a,
                                              const u8* b) {
  alignas(64) i32 whole[2][kTile * kTile];
  const u8* codes = a + half * kTile * kCodesOfA;
  const auto* scales = reinterpret_cast<const float*>(a + kScalesOfA) + half * kTile;
  multiply_block(codes, b, whole[0]);
  for (i64 n = 0; n < blocks; ++n) {
    if (n + 1 < blocks) {
      multiply_block(codes + kBytesOfA, b + kBytesOfB, whole[(n + 1) % 2]);
    }
    const __m512 columns = _mm512_loadu_ps(b + kScalesOfB);
    INLAY_UNROLL_ALL
    for (i64 r = 0; r < kTile; ++r) {
      const __m512 both = _mm512_mul_ps(_mm512_set1_ps(scales[r]), columns);
      const __m512i sums = _mm512_load_si512(whole[n % 2] + r * kTile);
      tile.sum[r] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(sums), both, tile.sum[r]);
    }
    codes += kBytesOfA;
    scales += kBytesOfA / 4;
    b += kBytesOfB;
  }
}

[[gnu::always_inline]] inline void add_steps(Half& tile, i64 half, i64 K, const float* a,
                                             const float* b) {
  a += half * kTile * K;
  for (i64 k = 0; k < K; ++k) {
    const __m512 columns = _mm512_loadu_ps(b + k * kWidth);
    INLAY_UNROLL_ALL
    for (i64 r = 0; r < kTile; ++r) {
      tile.sum[r] = _mm512_fmadd_ps(_mm512_set1_ps(a[r * K + k]), columns, tile.sum[r]);
    }
  }
}

void product(i64 blocks, const void* a, const void* b, float* sums) {
  for (i64 half = 0; half < 2; ++half) {
    float* mine = sums + half * kTile * kWidth;
    Half tile;
    INLAY_UNROLL_ALL
    for (i64 r = 0; r < kTile; ++r) {
      tile.sum[r] = _mm512_loadu_ps(mine + r * kWidth);
    }
    add_blocks(tile, half, blocks, static_cast<const u8*>(a), static_cast<const u8*>(b));
    INLAY_UNROLL_ALL
    for (i64 r = 0; r < kTile; ++r) {
      _mm512_storeu_ps(mine + r * kWidth, tile.sum[r]);
    }
  }
}

void full(const Int8Steps* steps, i64 count, const TileOutput& out) {
  for (i64 half = 0; half < 2; ++half) {
    float* c = out.c + half * kTile * out.c_row_stride;
    Half tile;
    INLAY_UNROLL_ALL
    for (i64 r = 0; r < kTile; ++r) {
      fetch(c + r * out.c_row_stride, out.stream);
      tile.sum[r] = _mm512_setzero_ps();
    }
    for (const Int8Steps* s = steps; s < steps + count; ++s) {
      if (s->blocks > 0) {
        add_blocks(tile, half, s->blocks, static_cast<const u8*>(s->a),
                   static_cast<const u8*>(s->b));
      } else {
        add_steps(tile, half, s->K, static_cast<const float*>(s->a),
                  static_cast<const float*>(s->b));
      }
    }
    const float* addend = out.addend;
    INLAY_UNROLL_ALL
    for (i64 r = 0; r < kTile; ++r) {
      __m512 value = _mm512_mul_ps(_mm512_set1_ps(out.alpha), tile.sum[r]);
      if (out.bias != nullptr) {
        value = _mm512_add_ps(value, _mm512_loadu_ps(out.bias));
      }
      if (addend != nullptr) {
        value = _mm512_add_ps(value,
                              _mm512_loadu_ps(addend + (half * kTile + r) * out.addend_row_stride));
      }
      write(value, c + r * out.c_row_stride, out.stream);
    }
  }
}

#else

void begin() {}
void end() {}

#if defined(__AVX512VNNI__)

void finish_block(u8* block) {
  const __m512i added = _mm512_set1_epi8(static_cast<char>(kOffset));
  for (i64 v = 0; v < kWidth; v += 16) {
    __m512i sum = _mm512_setzero_si512();
    for (i64 q = 0; q < kQuads; ++q) {
      sum = _mm512_dpbusd_epi32(sum, added,
                                _mm512_loadu_si512(block + kCodesOfB + (q * kWidth + v) * 4));
    }
    _mm512_storeu_si512(block + 4 * v, _mm512_sub_epi32(_mm512_setzero_si512(), sum));
  }
}

constexpr i64 kVectors = kWidth / 16;

struct Tile {
  __m512 sum[kHeight][kVectors];
};

// body(r, v) for each row of a tile and each vector of it.
template <class Body>
[[gnu::always_inline]] inline void for_tile(Body body) {
  INLAY_UNROLL_ALL
  for (i64 r = 0; r < kHeight; ++r) {
    INLAY_UNROLL_ALL
    for (i64 v = 0; v < kVectors; ++v) {
      body(r, v);
    }
  }
}

[[gnu::always_inline]] inline void add_blocks(Tile& tile, i64 blocks, const u8* a, const u8* b) {
  for (; blocks > 0; --blocks) {
    __m512i whole[kHeight][kVectors];
    for_tile([&](i64 r, i64 v) { whole[r][v] = _mm512_loadu_si512(b + 64 * v); });
    // As a loop, GCC 12 copies all sums from one set of registers to another.
    INLAY_UNROLL_ALL
    for (i64 q = 0; q < kQuads; ++q) {
      __m512i column[kVectors];
      INLAY_UNROLL_ALL
      for (i64 v = 0; v < kVectors; ++v) {
        column[v] = _mm512_loadu_si512(b + kCodesOfB + q * kWidth * 4 + 64 * v);
      }
      INLAY_UNROLL_ALL
      for (i64 r = 0; r < kHeight; ++r) {
        i32 quad;
        __builtin_memcpy(&quad, a + r * kCodesOfA + 4 * q, sizeof quad);
        const __m512i row = _mm512_set1_epi32(quad);
        INLAY_UNROLL_ALL
        for (i64 v = 0; v < kVectors; ++v) {
          whole[r][v] = _mm512_dpbusd_epi32(whole[r][v], row, column[v]);
        }
      }
    }
    const auto* scales = reinterpret_cast<const float*>(a + kScalesOfA);
    for_tile([&](i64 r, i64 v) {
      const __m512 both =
          _mm512_mul_ps(_mm512_set1_ps(scales[r]), _mm512_loadu_ps(b + kScalesOfB + 64 * v));
      tile.sum[r][v] = _mm512_fmadd_ps(_mm512_cvtepi32_ps(whole[r][v]), both, tile.sum[r][v]);
    });
    a += kBytesOfA;
    b += kBytesOfB;
  }
}

[[gnu::always_inline]] inline void add_steps(Tile& tile, i64 K, const float* a, const float* b) {
  for (i64 k = 0; k < K; ++k) {
    for_tile([&](i64 r, i64 v) {
      tile.sum[r][v] = _mm512_fmadd_ps(_mm512_set1_ps(a[r * K + k]),
                                       _mm512_loadu_ps(b + k * kWidth + 16 * v), tile.sum[r][v]);
    });
  }
}

void product(i64 blocks, const void* a, const void* b, float* sums) {
  Tile tile;
  for_tile([&](i64 r, i64 v) { tile.sum[r][v] = _mm512_loadu_ps(sums + r * kWidth + 16 * v); });
  add_blocks(tile, blocks, static_cast<const u8*>(a), static_cast<const u8*>(b));
  for_tile([&](i64 r, i64 v) { _mm512_storeu_ps(sums + r * kWidth + 16 * v, tile.sum[r][v]); });
}

void full(const Int8Steps* steps, i64 count, const TileOutput& out) {
  Tile tile;
  for_tile([&](i64 r, i64 v) {
    fetch(out.c + r * out.c_row_stride + 16 * v, out.stream);
    tile.sum[r][v] = _mm512_setzero_ps();
  });
  for (const Int8Steps* s = steps; s < steps + count; ++s) {
    if (s->blocks > 0) {
      add_blocks(tile, s->blocks, static_cast<const u8*>(s->a), static_cast<const u8*>(s->b));
    } else {
      add_steps(tile, s->K, static_cast<const float*>(s->a), static_cast<const float*>(s->b));
    }
  }
  for_tile([&](i64 r, i64 v) {
    __m512 value = _mm512_mul_ps(_mm512_set1_ps(out.alpha), tile.sum[r][v]);
    if (out.bias != nullptr) {
      value = _mm512_add_ps(value, _mm512_loadu_ps(out.bias + 16 * v));
    }
    if (out.addend != nullptr) {
      value =
          _mm512_add_ps(value, _mm512_loadu_ps(out.addend + r * out.addend_row_stride + 16 * v));
    }
    write(value, out.c + r * out.c_row_stride + 16 * v, out.stream);
  });
}

#else

void finish_block(u8* block) {
  __builtin_memset(block, 0, kWidth * 4);
}

#if defined(__AVX2__)

// i32 sums of kLanes columns, each in two halves side by side: those of the first kLanes / 2
// columns, then the others.
#if defined(__AVX512F__)

struct Halves {
  __m512i first, rest;
};

Halves widened(const u8* codes) {
  return {_mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes))),
          _mm512_cvtepi8_epi16(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(codes) + 1))};
}

Halves no_sum() {
  return {_mm512_setzero_si512(), _mm512_setzero_si512()};
}

Halves multiplied(const Halves& sum, i64 quad, const Halves& columns) {
  const __m512i row = _mm512_set1_epi64(quad);
  return {_mm512_add_epi32(sum.first, _mm512_madd_epi16(row, columns.first)),
          _mm512_add_epi32(sum.rest, _mm512_madd_epi16(row, columns.rest))};
}

Vec joined(const Halves& sum) {
  const __m512i even = _mm512_setr_epi32(0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
  const __m512i odd = _mm512_add_epi32(even, _mm512_set1_epi32(1));
  return {
      _mm512_cvtepi32_ps(_mm512_add_epi32(_mm512_permutex2var_epi32(sum.first, even, sum.rest),
                                          _mm512_permutex2var_epi32(sum.first, odd, sum.rest)))};
}

#else

struct Halves {
  __m256i first, rest;
};

Halves widened(const u8* codes) {
  return {_mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes))),
          _mm256_cvtepi8_epi16(_mm_loadu_si128(reinterpret_cast<const __m128i*>(codes) + 1))};
}

Halves no_sum() {
  return {_mm256_setzero_si256(), _mm256_setzero_si256()};
}

Halves multiplied(const Halves& sum, i64 quad, const Halves& columns) {
  const __m256i row = _mm256_set1_epi64x(quad);
  return {_mm256_add_epi32(sum.first, _mm256_madd_epi16(row, columns.first)),
          _mm256_add_epi32(sum.rest, _mm256_madd_epi16(row, columns.rest))};
}

Vec joined(const Halves& sum) {
  // The sum of neighbours puts the middle two quarters in each other's place.
  const __m256i mixed = _mm256_hadd_epi32(sum.first, sum.rest);
  return {_mm256_cvtepi32_ps(_mm256_permute4x64_epi64(mixed, 0xD8))};
}

#endif

void product(i64 blocks, const void* a_panel, const void* b_panel, float* sums) {
  const u8* a = static_cast<const u8*>(a_panel);
  const u8* b = static_cast<const u8*>(b_panel);
  constexpr i64 kLanes = Vec::kLanes;
  for (; blocks > 0; --blocks) {
    for (i64 j = 0; j < kWidth; j += kLanes) {
      Halves sum[kHeight];
      INLAY_UNROLL_ALL
      for (i64 r = 0; r < kHeight; ++r) {
        sum[r] = no_sum();
      }
      for (i64 q = 0; q < kQuads; ++q) {
        const Halves columns = widened(b + kCodesOfB + (q * kWidth + j) * 4);
        INLAY_UNROLL_ALL
        for (i64 r = 0; r < kHeight; ++r) {
          i64 quad;
          __builtin_memcpy(&quad, a + r * kCodesOfA + 8 * q, sizeof quad);
          sum[r] = multiplied(sum[r], quad, columns);
        }
      }
      const auto* row_scales = reinterpret_cast<const float*>(a + kScalesOfA);
      const auto* column_scales = reinterpret_cast<const float*>(b + kScalesOfB);
      INLAY_UNROLL_ALL
      for (i64 r = 0; r < kHeight; ++r) {
        float* total = sums + r * kWidth + j;
        const Vec both = Vec::set(row_scales[r]) * Vec::load(column_scales + j);
        fma(joined(sum[r]), both, Vec::load(total)).store(total);
      }
    }
    a += kBytesOfA;
    b += kBytesOfB;
  }
}

#else

void product(i64 blocks, const void* a_panel, const void* b_panel, float* sums) {
  const u8* a = static_cast<const u8*>(a_panel);
  const u8* b = static_cast<const u8*>(b_panel);
  for (; blocks > 0; --blocks) {
    const auto* row_scales = reinterpret_cast<const float*>(a + kScalesOfA);
    const auto* column_scales = reinterpret_cast<const float*>(b + kScalesOfB);
    const auto* columns = reinterpret_cast<const i8*>(b + kCodesOfB);
    for (i64 r = 0; r < kHeight; ++r) {
      const auto* row = reinterpret_cast<const i8*>(a + r * kCodesOfA);
      i32 sum[kWidth] = {};
      for (i64 q = 0; q < kQuads; ++q) {
        for (i64 j = 0; j < kWidth; ++j) {
          const i8* column = columns + (q * kWidth + j) * 4;
          sum[j] += row[4 * q] * column[0] + row[4 * q + 1] * column[1] +
                    row[4 * q + 2] * column[2] + row[4 * q + 3] * column[3];
        }
      }
      for (i64 j = 0; j < kWidth; ++j) {
        float& total = sums[r * kWidth + j];
        total = __builtin_fmaf(static_cast<float>(sum[j]), row_scales[r] * column_scales[j], total);
      }
    }
    a += kBytesOfA;
    b += kBytesOfB;
  }
}

#endif

constexpr decltype(GemmInt8::full) full = nullptr;

#endif
#endif

}  // namespace

const GemmInt8 kGemmInt8 = {kHeight,  kWidth,  kBytesOfA,    begin,        end,     pack_rows,
                            quantise, look_up, pack_columns, finish_block, product, full};

}  // namespace inlay::kernels::INLAY_ISA
