// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/products/gemm_int8_codes.h"
#if defined(__AMX_INT8__)
#include "core/kernels/cpu/isa/amx.h"
#endif

// The register tile of 8-bit products.
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

// What is added to a tile: the chunks before, or in the first chunk the addend.
struct Addend {
  explicit Addend(const TileOutput& out)
      : first(out.so_far != nullptr ? out.so_far : out.addend),
        stride(out.so_far != nullptr ? out.so_far_row_stride : out.addend_row_stride) {}
  const float* first;
  i64 stride;
};

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
    const Addend addend(out);
    INLAY_UNROLL_ALL
    for (i64 r = 0; r < kTile; ++r) {
      __m512 value = _mm512_mul_ps(_mm512_set1_ps(out.alpha), tile.sum[r]);
      if (out.bias != nullptr) {
        value = _mm512_add_ps(value, _mm512_loadu_ps(out.bias));
      }
      if (addend.first != nullptr) {
        value = _mm512_add_ps(value,
                              _mm512_loadu_ps(addend.first + (half * kTile + r) * addend.stride));
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
  const Addend addend(out);
  for_tile([&](i64 r, i64 v) {
    __m512 value = _mm512_mul_ps(_mm512_set1_ps(out.alpha), tile.sum[r][v]);
    if (out.bias != nullptr) {
      value = _mm512_add_ps(value, _mm512_loadu_ps(out.bias + 16 * v));
    }
    if (addend.first != nullptr) {
      value = _mm512_add_ps(value, _mm512_loadu_ps(addend.first + r * addend.stride + 16 * v));
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
