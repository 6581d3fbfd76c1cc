// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/isa/simd.h"
#include "core/kernels/cpu/products/gemm_kernels.h"

// Operands reordered for the register tile. A transpose reads its rows four values of k at a time,
// so that each vector register is loaded as a column of 4 x 4 blocks, one block in each 128-bit
// lane: transposing inside the lanes is then all that is left, two shuffles a vector.
namespace inlay::kernels::INLAY_ISA {
namespace {

// How many rows one transposing step takes.
#if defined(__AVX512F__)
constexpr i64 kBlockRows = 16;
#else
constexpr i64 kBlockRows = 8;
#endif

#if defined(__AVX512F__)

__m512 load_column(const float* const* rows, i64 r, i64 k) {
  __m512 column = _mm512_castps128_ps512(_mm_loadu_ps(rows[r] + k));
  column = _mm512_insertf32x4(column, _mm_loadu_ps(rows[r + 4] + k), 1);
  column = _mm512_insertf32x4(column, _mm_loadu_ps(rows[r + 8] + k), 2);
  return _mm512_insertf32x4(column, _mm_loadu_ps(rows[r + 12] + k), 3);
}

// to[j * stride + r] = rows[r][k + j] for j < 4, r < 16.
void transpose_block(const float* const* rows, i64 k, float* to, i64 stride) {
  const __m512 r0 = load_column(rows, 0, k), r1 = load_column(rows, 1, k);
  const __m512 r2 = load_column(rows, 2, k), r3 = load_column(rows, 3, k);
  const __m512 low01 = _mm512_unpacklo_ps(r0, r1), high01 = _mm512_unpackhi_ps(r0, r1);
  const __m512 low23 = _mm512_unpacklo_ps(r2, r3), high23 = _mm512_unpackhi_ps(r2, r3);
  const auto pair = [](__m512 a, __m512 b) {
    return _mm512_shuffle_ps(a, b, _MM_SHUFFLE(1, 0, 1, 0));
  };
  const auto other = [](__m512 a, __m512 b) {
    return _mm512_shuffle_ps(a, b, _MM_SHUFFLE(3, 2, 3, 2));
  };
  _mm512_storeu_ps(to, pair(low01, low23));
  _mm512_storeu_ps(to + stride, other(low01, low23));
  _mm512_storeu_ps(to + 2 * stride, pair(high01, high23));
  _mm512_storeu_ps(to + 3 * stride, other(high01, high23));
}

#endif

#if defined(__AVX2__)

__m256 load_half_column(const float* const* rows, i64 r, i64 k) {
  return _mm256_insertf128_ps(_mm256_castps128_ps256(_mm_loadu_ps(rows[r] + k)),
                              _mm_loadu_ps(rows[r + 4] + k), 1);
}

struct FourColumns {
  __m256 column[4];
};

FourColumns transposed(const float* const* rows, i64 k) {
  const __m256 r0 = load_half_column(rows, 0, k), r1 = load_half_column(rows, 1, k);
  const __m256 r2 = load_half_column(rows, 2, k), r3 = load_half_column(rows, 3, k);
  const __m256 low01 = _mm256_unpacklo_ps(r0, r1), high01 = _mm256_unpackhi_ps(r0, r1);
  const __m256 low23 = _mm256_unpacklo_ps(r2, r3), high23 = _mm256_unpackhi_ps(r2, r3);
  return {{_mm256_shuffle_ps(low01, low23, _MM_SHUFFLE(1, 0, 1, 0)),
           _mm256_shuffle_ps(low01, low23, _MM_SHUFFLE(3, 2, 3, 2)),
           _mm256_shuffle_ps(high01, high23, _MM_SHUFFLE(1, 0, 1, 0)),
           _mm256_shuffle_ps(high01, high23, _MM_SHUFFLE(3, 2, 3, 2))}};
}

// As transpose_block of 16 rows, with 8.
void transpose_half_block(const float* const* rows, i64 k, float* to, i64 stride) {
  const FourColumns c = transposed(rows, k);
  for (i64 j = 0; j < 4; ++j) {
    _mm256_storeu_ps(to + j * stride, c.column[j]);
  }
}

// The first six of eight rows: the height of the AVX2 tile.
void transpose_six(const float* const* rows, i64 k, float* to, i64 stride) {
  const FourColumns c = transposed(rows, k);
  for (i64 j = 0; j < 4; ++j) {
    _mm_storeu_ps(to + j * stride, _mm256_castps256_ps128(c.column[j]));
    _mm_storel_pi(reinterpret_cast<__m64*>(to + j * stride + 4),
                  _mm256_extractf128_ps(c.column[j], 1));
  }
}

#endif

using BlockTranspose = void (*)(const float* const* rows, i64 k, float* to, i64 stride);

// How to transpose `width` rows at once, or null when only the plain loop can.
BlockTranspose block_transpose(i64 width) {
#if defined(__AVX512F__)
  if (width == 16) {
    return transpose_block;
  }
#endif
#if defined(__AVX2__)
  if (width == 8) {
    return transpose_half_block;
  }
  if (width == 6) {
    return transpose_six;
  }
#endif
  static_cast<void>(width);
  return nullptr;
}

// `width` rows at most kBlockRows of them, all of which may be read.
void transpose_rows(const float* const* rows, i64 width, i64 K, float* panel, i64 stride) {
  i64 k = 0;
  if (const BlockTranspose block = block_transpose(width)) {
    for (; k + 4 <= K; k += 4) {
      block(rows, k, panel + k * stride, stride);
    }
  }
  for (; k < K; ++k) {
    for (i64 r = 0; r < width; ++r) {
      panel[k * stride + r] = rows[r][k];
    }
  }
}

void transpose(const float* const* rows, i64 count, i64 K, float* panel, i64 width, i64 stride) {
  for (i64 first = 0; first < width; first += kBlockRows) {
    const i64 here = width - first < kBlockRows ? width - first : kBlockRows;
    // Missing rows are read from a row that exists, then cleared: no case of its own above.
    const float* block[kBlockRows];
    for (i64 r = 0; r < kBlockRows; ++r) {
      block[r] = rows[first + r < count ? first + r : count - 1];
    }
    transpose_rows(block, here, K, panel + first, stride);
  }
  if (count < width) {
    for (i64 k = 0; k < K; ++k) {
      for (i64 r = count; r < width; ++r) {
        panel[k * stride + r] = 0.0F;
      }
    }
  }
}

template <i64 kWidth>
void copy_panels(const float* from, i64 from_stride, i64 panels, i64 K, float* to,
                 i64 panel_stride) {
  for (i64 k = 0; k < K; ++k) {
    for (i64 p = 0; p < panels; ++p) {
      __builtin_memcpy(to + p * panel_stride + k * kWidth, from + k * from_stride + p * kWidth,
                       kWidth * sizeof(float));
    }
  }
}

void copy_whole_panels(const float* from, i64 from_stride, i64 panels, i64 K, float* to, i64 width,
                       i64 panel_stride) {
  // A copy of a size known to the compiler is a few vector moves, not a call.
  switch (width) {
    case 4:
      return copy_panels<4>(from, from_stride, panels, K, to, panel_stride);
    case 6:
      return copy_panels<6>(from, from_stride, panels, K, to, panel_stride);
    case 8:
      return copy_panels<8>(from, from_stride, panels, K, to, panel_stride);
    case 16:
      return copy_panels<16>(from, from_stride, panels, K, to, panel_stride);
    case 32:
      return copy_panels<32>(from, from_stride, panels, K, to, panel_stride);
    default:
      return copy_panels<48>(from, from_stride, panels, K, to, panel_stride);
  }
}

void copy(const float* from, i64 from_stride, i64 count, i64 K, float* to, i64 width,
          i64 panel_stride) {
  const i64 panels = count / width;
  copy_whole_panels(from, from_stride, panels, K, to, width, panel_stride);
  const i64 rest = count - panels * width;
  if (rest > 0) {
    const float* source = from + panels * width;
    float* panel = to + panels * panel_stride;
    for (i64 k = 0; k < K; ++k) {
      for (i64 j = 0; j < width; ++j) {
        panel[k * width + j] = j < rest ? source[k * from_stride + j] : 0.0F;
      }
    }
  }
}

void round_to_bf16(float* values, i64 count) {
  for (i64 i = 0; i < count; ++i) {
    u32 bits;
    __builtin_memcpy(&bits, values + i, sizeof bits);
    // To the nearest, ties to even: half of the last place, less one where that place is even. A
    // NaN could round to an infinity, so it gets a bit that stays.
    const bool is_nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
    const u32 rounded = (bits + 0x7FFFU + (bits >> 16 & 1U)) & 0xFFFF0000U;
    bits = is_nan ? (bits | 0x00400000U) & 0xFFFF0000U : rounded;
    __builtin_memcpy(values + i, &bits, sizeof bits);
  }
}

}  // namespace

const GemmPacking kGemmPacking = {transpose, copy, round_to_bf16};

}  // namespace inlay::kernels::INLAY_ISA
