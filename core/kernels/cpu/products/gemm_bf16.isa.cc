// SPDX-License-Identifier: Apache-2.0
#include <immintrin.h>

#include "core/kernels/cpu/isa/amx.h"
#include "core/kernels/cpu/isa/kept_values.h"
#include "core/kernels/cpu/products/gemm_bf16_kernels.h"
#include "core/kernels/cpu/products/gemm_tile_output.h"
#include "core/kernels/cpu/products/row_values.h"

// The register tile of bf16 products.
//
//   AMX           32 x 32: 2 x 2 tile registers of 16 x 16 sums, 2 of A (16 rows x 32 steps), 2 of
//                 B (16 pairs x 16 columns). A step of 32 needs 4 tile loads for 4 products.
//   AVX-512 BF16  8 x 48: 24 vectors of sums + 3 of B + 1 of A
namespace inlay::kernels::INLAY_ISA {
namespace {

void round(const float* from, i64 count, u16* to) {
  i64 i = 0;
  for (; i + 16 <= count; i += 16) {
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_loadu_ps(from + i));
    __builtin_memcpy(to + i, &rounded, sizeof rounded);
  }
  if (i < count) {
    const auto some = static_cast<__mmask16>((1U << (count - i)) - 1U);
    const __m256bh rounded = _mm512_cvtneps_pbh(_mm512_maskz_loadu_ps(some, from + i));
    _mm256_mask_storeu_epi16(to + i, some, reinterpret_cast<__m256i>(rounded));
  }
}

__m512i joined(__m256i low, __m256i high) {
  return _mm512_or_si512(_mm512_cvtepu16_epi32(low),
                         _mm512_slli_epi32(_mm512_cvtepu16_epi32(high), 16));
}

__m512i pairs(__m512 even, __m512 odd) {
  return joined(reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(even)),
                reinterpret_cast<__m256i>(_mm512_cvtneps_pbh(odd)));
}

void interleave(const float* even, const float* odd, i64 count, u32* to) {
  i64 i = 0;
  for (; i + 16 <= count; i += 16) {
    _mm512_storeu_si512(to + i, pairs(_mm512_loadu_ps(even + i), _mm512_loadu_ps(odd + i)));
  }
  if (i < count) {
    const auto some = static_cast<__mmask16>((1U << (count - i)) - 1U);
    _mm512_mask_storeu_epi32(
        to + i, some,
        pairs(_mm512_maskz_loadu_ps(some, even + i), _mm512_maskz_loadu_ps(some, odd + i)));
  }
}

void interleave_rounded(const u16* even, const u16* odd, i64 count, u32* to) {
  i64 i = 0;
  for (; i + 16 <= count; i += 16) {
    __m256i low, high;
    __builtin_memcpy(&low, even + i, sizeof low);
    __builtin_memcpy(&high, odd + i, sizeof high);
    _mm512_storeu_si512(to + i, joined(low, high));
  }
  if (i < count) {
    const auto some = static_cast<__mmask16>((1U << (count - i)) - 1U);
    _mm512_mask_storeu_epi32(
        to + i, some,
        joined(_mm256_maskz_loadu_epi16(some, even + i), _mm256_maskz_loadu_epi16(some, odd + i)));
  }
}

void keep(const u16* from, i64 from_stride, i64 rows, i64 K, const KeptBits& kept, u16* to,
          i64 to_stride) {
  constexpr i64 kTogether = 32;
  for (i64 r = 0; r < rows; ++r) {
    const KeptValues bits(kept.bits, kept.first + r * kept.row_stride);
    const u16* x = from + r * from_stride;
    u16* row = to + r * to_stride;
    i64 k = 0;
    for (; k + kTogether <= K; k += kTogether) {
      _mm512_storeu_si512(row + k, _mm512_maskz_loadu_epi16(bits.word(k), x + k));
    }
    if (k < K) {
      const __mmask32 some = bits.word(k) & ((1U << (K - k)) - 1U);
      // The rest of a step, which is no longer than this: zeros.
      _mm512_storeu_si512(row + k, _mm512_maskz_loadu_epi16(some, x + k));
    }
  }
}

#if defined(__AMX_BF16__)

constexpr i64 kHeight = 32, kWidth = 32, kStep = 32, kBlock = 16;
constexpr i64 kTile = 16;  // rows of a tile register, and dwords of its rows

void begin() {
  _tile_loadconfig(&kTileShapes);
}

void end() {
  _tile_release();
}

// Registers: 0 to 3 are sums, 4 and 5 A, 6 and 7 B.
template <bool kBoth>
const u32* add_piece(const Bf16Steps& steps, const u32* b) {
  const i64 a_bytes = steps.a_stride * 2;
  const u16* low = steps.a;
  const u16* high = steps.a + kTile * steps.a_stride;
  for (i64 k = 0; k < steps.K; k += kStep) {
    _tile_loadd(6, b, 64);
    _tile_loadd(7, b + kTile * kTile, 64);
    _tile_loadd(4, low + k, a_bytes);
    _tile_dpbf16ps(0, 4, 6);
    _tile_dpbf16ps(1, 4, 7);
    if constexpr (kBoth) {
      _tile_loadd(5, high + k, a_bytes);
      _tile_dpbf16ps(2, 5, 6);
      _tile_dpbf16ps(3, 5, 7);
    }
    b += kStep / 2 * kWidth;
  }
  return b;
}

void product(const Bf16Steps* steps, i64 count, i64 rows, const u32* b, i64 /*panel*/,
             float* sums) {
  constexpr int kRowBytes = kWidth * 4;
  // With at most 16 rows the lower half of the sums is left out, and half of the work with it.
  const bool both = rows > kTile;
  // GCC 12 does not know that tile loads read what was stored before (amx.h).
  finish_stores();
  _tile_zero(0);
  _tile_zero(1);
  _tile_zero(2);
  _tile_zero(3);
  for (i64 p = 0; p < count; ++p) {
    const u32* own = steps[p].b;
    const u32*& panel = own != nullptr ? own : b;
    panel = both ? add_piece<true>(steps[p], panel) : add_piece<false>(steps[p], panel);
  }
  _tile_stored(0, sums, kRowBytes);
  _tile_stored(1, sums + kTile, kRowBytes);
  if (both) {
    _tile_stored(2, sums + kTile * kWidth, kRowBytes);
    _tile_stored(3, sums + kTile * kWidth + kTile, kRowBytes);
  }
  finish_stores();
}

constexpr decltype(GemmBf16::full) kFull = {};

#else

constexpr i64 kHeight = 8, kWidth = 48, kStep = 2, kBlock = 1;
// Dwords of a cache line: steps of A that come together.
constexpr i64 kLine = 16;
// Pairs of B asked for ahead: about as far as an L2 is.
constexpr i64 kAhead = 12;

void begin() {}
void end() {}

inline __m512bh as_bf16(Vec v) {
  return reinterpret_cast<__m512bh>(v.v);
}

template <i64 R, i64 V>
struct Tile {
  Vec sum[R][V];
};

template <i64 R, i64 V>
inline void clear(Tile<R, V>& tile) {
#pragma GCC unroll 8
  for (i64 r = 0; r < R; ++r) {
#pragma GCC unroll 4
    for (i64 v = 0; v < V; ++v) {
      tile.sum[r][v] = Vec::zero();
    }
  }
}

// A pair of steps, moved as a float is.
template <i64 R, i64 V>
inline void advance(Tile<R, V>& tile, RowValues<R>& a, const float*& b) {
  Vec row[V];
#pragma GCC unroll 4
  for (i64 v = 0; v < V; ++v) {
    __builtin_prefetch(b + kAhead * V * kLine + v * kLine);
    row[v] = Vec::load(b + v * kLine);
  }
#pragma GCC unroll 8
  for (i64 r = 0; r < R; ++r) {
    const Vec left = Vec::set(a.at(r));
#pragma GCC unroll 4
    for (i64 v = 0; v < V; ++v) {
      tile.sum[r][v].v = _mm512_dpbf16_ps(tile.sum[r][v].v, as_bf16(left), as_bf16(row[v]));
    }
  }
  a.advance();
  b += V * kLine;
}

template <i64 R, i64 V>
inline const float* add_piece(Tile<R, V>& tile, const Bf16Steps& steps, const float* b) {
  const i64 stride = steps.a_stride / 2;
  RowValues<R> a(reinterpret_cast<const float*>(steps.a), stride, 1);
  i64 pairs = steps.K / 2;
  for (; pairs >= kLine; pairs -= kLine) {
    if constexpr (R > 4) {
      if (steps.ahead != 0) {
        a.fetch(steps.ahead / 2);
        a.fetch(steps.ahead / 2 + 4 * stride);
      }
    }
#pragma GCC unroll 4
    for (i64 s = 0; s < kLine; ++s) {
      advance(tile, a, b);
    }
  }
  for (; pairs > 0; --pairs) {
    advance(tile, a, b);
  }
  return b;
}

template <i64 R, i64 V>
inline void add_pieces(Tile<R, V>& tile, const Bf16Steps* steps, i64 count, const float* b) {
  for (i64 p = 0; p < count; ++p) {
    const auto* own = reinterpret_cast<const float*>(steps[p].b);
    const float*& panel = own != nullptr ? own : b;
    panel = add_piece(tile, steps[p], panel);
  }
}

template <i64 V>
void full(const Bf16Steps* steps, i64 count, const u32* b, const TileOutput& out) {
  Tile<kHeight, V> tile;
  fetch_output<V>(kHeight, out);
  clear(tile);
  add_pieces(tile, steps, count, reinterpret_cast<const float*>(b));
  store_tile(tile.sum, out);
}

template <i64 R, i64 V>
void product_of(const Bf16Steps* steps, i64 count, const u32* b, float* sums) {
  Tile<R, V> tile;
  clear(tile);
  add_pieces(tile, steps, count, reinterpret_cast<const float*>(b));
  for (i64 r = 0; r < R; ++r) {
    for (i64 v = 0; v < V; ++v) {
      tile.sum[r][v].store(sums + (r * V + v) * kLine);
    }
  }
}

// Packed rows go on with zeros up to a tile's height.
template <i64 V>
void product_wide(const Bf16Steps* steps, i64 count, i64 rows, const u32* b, float* sums) {
  if (rows == 1) {
    product_of<1, V>(steps, count, b, sums);
  } else {
    product_of<kHeight, V>(steps, count, b, sums);
  }
}

void product(const Bf16Steps* steps, i64 count, i64 rows, const u32* b, i64 panel, float* sums) {
  const auto wide = panel == 16 ? product_wide<1> : panel == 32 ? product_wide<2> : product_wide<3>;
  wide(steps, count, rows, b, sums);
}

constexpr decltype(GemmBf16::full) kFull = {full<1>, full<2>, full<3>};

#endif

}  // namespace

const GemmBf16 kGemmBf16 = {kHeight, kWidth,     kStep,
                            kBlock,  begin,      end,
                            product, keep,       {kFull[0], kFull[1], kFull[2]},
                            round,   interleave, interleave_rounded};

}  // namespace inlay::kernels::INLAY_ISA
