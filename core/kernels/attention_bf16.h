// SPDX-License-Identifier: Apache-2.0
#pragma once

// Tiled attention whose products are the processor's own dot products of bf16: the pieces forward
// and backward share. The layout is the one attention_tile.h draws, scores transposed; what differs
// is what is multiplied.
//
// A product C[i][j] += sum over k A[i][k] B[k][j] takes bf16 operands and adds in f32, two k at a
// time: A lies as rows (pairs of k side by side), B as pairs, B2[k / 2][j] = (B[k][j], B[k +
// 1][j]).
//
//                                            A                 B in pairs of
//   forward    S[key][row]  =  K Qt          K copy            d      (Q, packed a tile)
//              Ot[d][row]  +=  Vt P          Vt copy           keys   (P)
//   backward   S            =  K Qt          K copy            d
//              dP[key][row] =  V dOt         V copy            d      (dO, packed a tile)
//              dQt[d][row] +=  Kt dS         Kt copy           keys   (dS)
//              dV[key][d]  +=  P dO          P                 rows   (dO, packed a tile)
//              dK[key][d]  +=  dS Q          dS                rows   (Q, packed a tile)
//
// K and V are converted once a call, into copies every tile of their head reads; beyond the last
// key and column these are 0. All sizes are whole register tiles: 16 rows, 16 columns, 32 deep.

#include "core/kernels/amx.h"
#include "core/kernels/attention_tile.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

using attention::copied_keys;
using attention::kPad;
using attention::kStripKeys;
using attention::round_up;

constexpr i64 kTileSide = 16;
constexpr i64 kDepth = 32;  // k of one step, and the keys of a strip

/// (low, high) as 32 bf16, in order.
inline __m512i narrow(Vec low, Vec high) {
  return reinterpret_cast<__m512i>(_mm512_cvtne2ps_pbh(high.v, low.v));
}

/// The pairs (even[i], odd[i]).
inline __m512i narrow_pairs(Vec even, Vec odd) {
  alignas(64) static constexpr u16 kOrder[32] = {0,  16, 1,  17, 2,  18, 3,  19, 4,  20, 5,
                                                 21, 6,  22, 7,  23, 8,  24, 9,  25, 10, 26,
                                                 11, 27, 12, 28, 13, 29, 14, 30, 15, 31};
  return _mm512_permutexvar_epi16(_mm512_load_si512(kOrder), narrow(even, odd));
}

inline Vec as_vec(__m512i words) {
  return {_mm512_castsi512_ps(words)};
}

/// 16 numbers of a row, of which `columns` (<= 0: none) exist.
inline Vec load_some(const float* p, i64 columns) {
  return columns >= kLanes ? Vec::load(p) : columns > 0 ? Vec::load(p, columns) : Vec::zero();
}

/// Rows of bf16 numbers or of pairs; the stride counts bf16 numbers.
struct Bf16Rows {
  u16* data;
  i64 stride;

  u16* at(i64 row, i64 word) const { return data + row * stride + word; }
  Bf16Rows from(i64 row, i64 word) const { return {at(row, word), stride}; }
};

#if defined(__AMX_BF16__)

/// M x N tiles of C, at most 2 x 2: four sums, two tiles of A, two of B.
template <int M, int N>
void dots_block(Bf16Rows a, Bf16Rows b, i64 depth, float* c, i64 c_stride, bool add) {
  const i64 a_bytes = a.stride * 2, b_bytes = b.stride * 2, c_bytes = c_stride * 4;
  float* below = c + kTileSide * c_stride;
  finish_stores();
  if (add) {
    _tile_loadd(0, c, c_bytes);
    if constexpr (N > 1) _tile_loadd(1, c + kTileSide, c_bytes);
    if constexpr (M > 1) _tile_loadd(2, below, c_bytes);
    if constexpr (M > 1 && N > 1) _tile_loadd(3, below + kTileSide, c_bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (i64 k = 0; k < depth; k += kDepth) {
    const u16* left = a.at(0, k);
    const u16* right = b.at(k / 2, 0);
    _tile_loadd(4, left, a_bytes);
    _tile_loadd(6, right, b_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (N > 1) {
      _tile_loadd(7, right + 2 * kTileSide, b_bytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (M > 1) {
      _tile_loadd(5, left + kTileSide * a.stride, a_bytes);
      _tile_dpbf16ps(2, 5, 6);
    }
    if constexpr (M > 1 && N > 1) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, c_bytes);
  if constexpr (N > 1) _tile_stored(1, c + kTileSide, c_bytes);
  if constexpr (M > 1) _tile_stored(2, below, c_bytes);
  if constexpr (M > 1 && N > 1) _tile_stored(3, below + kTileSide, c_bytes);
}

#else

/// 16 M x 16 N sums, in pieces of 8 x N vectors: 16 sums stay in registers.
template <int M, int N>
void dots_block(Bf16Rows a, Bf16Rows b, i64 depth, float* c, i64 c_stride, bool add) {
  constexpr i64 kRows = 8;
  for (i64 r = 0; r < M * kTileSide; r += kRows) {
    __m512 sum[kRows][N];
    float* out = c + r * c_stride;
    for (i64 i = 0; i < kRows; ++i) {
      for (i64 j = 0; j < N; ++j) {
        sum[i][j] = add ? _mm512_loadu_ps(out + i * c_stride + j * kLanes) : _mm512_setzero_ps();
      }
    }
    for (i64 k = 0; k < depth; k += 2) {
      __m512bh right[N];
      for (i64 j = 0; j < N; ++j) {
        right[j] = reinterpret_cast<__m512bh>(_mm512_loadu_si512(b.at(k / 2, j * 2 * kLanes)));
      }
#pragma GCC unroll 8
      for (i64 i = 0; i < kRows; ++i) {
        i32 pair;
        __builtin_memcpy(&pair, a.at(r + i, k), sizeof pair);
        const __m512bh left = reinterpret_cast<__m512bh>(_mm512_set1_epi32(pair));
        for (i64 j = 0; j < N; ++j) {
          sum[i][j] = _mm512_dpbf16_ps(sum[i][j], left, right[j]);
        }
      }
    }
    for (i64 i = 0; i < kRows; ++i) {
      for (i64 j = 0; j < N; ++j) {
        _mm512_storeu_ps(out + i * c_stride + j * kLanes, sum[i][j]);
      }
    }
  }
}

#endif

/// c[rows][columns] = or += a[rows][depth] b[depth][columns], in whole tiles.
void dots(i64 rows, i64 columns, i64 depth, Bf16Rows a, Bf16Rows b, float* c, i64 c_stride,
          bool add) {
  for (i64 i = 0; i < rows; i += 2 * kTileSide) {
    const Bf16Rows left = a.from(i, 0);
    const bool two = i + kTileSide < rows;
    i64 j = 0;
    for (; j + 2 * kTileSide <= columns; j += 2 * kTileSide) {
      const auto block = two ? dots_block<2, 2> : dots_block<1, 2>;
      block(left, b.from(0, 2 * j), depth, c + i * c_stride + j, c_stride, add);
    }
    if (j < columns) {
      const auto block = two ? dots_block<2, 1> : dots_block<1, 1>;
      block(left, b.from(0, 2 * j), depth, c + i * c_stride + j, c_stride, add);
    }
  }
}

/// to[key][d] = rows [begin, end) of one head of K or V, `count` of which exist.
inline void copy_rows(const float* from, i64 stride, KeyRange keys, i64 count, i64 D, Bf16Rows to) {
  for (i64 key = keys.begin; key < keys.end; ++key) {
    const i64 columns = key < count ? D : 0;
    for (i64 d = 0; d < round_up(D, kDepth); d += kDepth) {
      const float* row = from + key * stride + d;
      _mm512_storeu_si512(to.at(key, d), narrow(load_some(row, columns - d),
                                                load_some(row + kLanes, columns - d - kLanes)));
    }
  }
}

/// to[d][key] likewise; the range begins and ends at multiples of 32.
inline void copy_transposed(const float* from, i64 stride, KeyRange keys, i64 count, i64 D,
                            Bf16Rows to) {
  for (i64 k = keys.begin; k < keys.end; k += kDepth) {
    for (i64 d0 = 0; d0 < D; d0 += kLanes) {
      Vec in[kLanes], out[kLanes];
      for (i64 i = 0; i < kLanes; ++i) {
        const i64 key = k + 2 * i;
        const float* row = from + key * stride + d0;
        in[i] = as_vec(narrow_pairs(load_some(row, key < count ? D - d0 : 0),
                                    load_some(row + stride, key + 1 < count ? D - d0 : 0)));
      }
      transpose(in, out);
      for (i64 d = 0; d < kLanes; ++d) {
        _mm512_storeu_si512(to.at(d0 + d, k), _mm512_castps_si512(out[d].v));
      }
    }
  }
}

/// The copies of one head, in the order they lie: K, then V (backward), then Vt or Kt.
struct KeyCopies {
  Bf16Rows k, v, transposed;
};

inline KeyCopies key_copies(const Head& head, u16* data, bool backward) {
  const i64 keys = copied_keys(head.k_count);
  const i64 width = round_up(head.params->head_dim, kDepth);
  u16* behind_k = data + keys * width;
  return {{data, width}, {behind_k, width}, {backward ? behind_k + keys * width : behind_k, keys}};
}

/// pairs[d / 2][row] = (base[row][d], base[row][d + 1]) * sign, zeros behind the last row and
/// column.
inline void pack_pairs_of_columns(const float* base, const TileRows& rows, i64 D, float sign,
                                  Bf16Rows pairs) {
  const Vec factor = Vec::set(sign);
  for (i64 r0 = 0; r0 < kTileRows; r0 += kLanes) {
    for (i64 d0 = 0; d0 < D; d0 += kDepth) {
      Vec in[kLanes], out[kLanes];
      for (i64 i = 0; i < kLanes; ++i) {
        const bool exists = r0 + i < rows.count;
        const float* row = exists ? base + rows.offset[r0 + i] + d0 : base;
        const i64 columns = exists ? D - d0 : 0;
        in[i] = as_vec(narrow(factor * load_some(row, columns),
                              factor * load_some(row + kLanes, columns - kLanes)));
      }
      transpose(in, out);
      for (i64 i = 0; i < kLanes; ++i) {
        _mm512_storeu_si512(pairs.at(d0 / 2 + i, 2 * r0), _mm512_castps_si512(out[i].v));
      }
    }
  }
}

/// pairs[row / 2][d] = (base[row][d], base[row + 1][d]), likewise.
inline void pack_pairs_of_rows(const float* base, const TileRows& rows, i64 D, Bf16Rows pairs) {
  const auto load = [&](i64 r, i64 d) {
    return r < rows.count ? load_some(base + rows.offset[r] + d, D - d) : Vec::zero();
  };
  for (i64 r = 0; r < kTileRows; r += 2) {
    for (i64 d = 0; d < D; d += kLanes) {
      _mm512_storeu_si512(pairs.at(r / 2, 2 * d), narrow_pairs(load(r, d), load(r + 1, d)));
    }
  }
}

/// Where the keys of every 32 rows of a tile end: a strip of keys spends no time on rows behind the
/// diagonal.
struct RowEnds {
  i64 end[kTileRows / kDepth];
  i64 vectors;  // of the tile, in pairs
};

inline RowEnds row_ends(const Head& head, const Tile& tile) {
  RowEnds ends = {};
  ends.vectors = round_up(tile.count, kDepth) / kLanes;
  for (i64 row = 0; row < tile.count; row += kDepth) {
    const i64 last = (tile.count - row < kDepth ? tile.count : row + kDepth) - 1;
    ends.end[row / kDepth] = attention::query_keys(head, (tile.begin + last) / head.group).end;
  }
  return ends;
}

/// The first two vectors that see one of a strip's keys; all behind them do.
inline i64 first_vector(const RowEnds& ends, i64 key) {
  i64 from = 0;
  while (from + 2 < ends.vectors && ends.end[from / 2] <= key) {
    from += 2;
  }
  return from;
}

/// Calls score(block, strip) and then meet(block, strip) for every strip of keys and every two
/// vectors that meet it, and finish(first key, first vector) behind each strip. `strip` is 0 or 1,
/// in turn. The products that make the scores run one block ahead: they take their time while the
/// vector units work on the block before.
template <class Score, class Meet, class Finish>
inline void for_each_strip(const Tile& tile, const RowEnds& ends, Score score, Meet meet,
                           Finish finish) {
  const KeyRange keys = tile.some;
  if (keys.begin == keys.end) {
    return;
  }
  const auto at = [](i64 key, i64 from) { return Block{key, kStripKeys, from, 2}; };
  score(at(keys.begin, first_vector(ends, keys.begin)), 0);
  i64 strip = 0;
  for (i64 key = keys.begin; key < keys.end; key += kStripKeys) {
    const i64 first = first_vector(ends, key), next = key + kStripKeys;
    for (i64 from = first; from < ends.vectors; from += 2) {
      if (from + 2 < ends.vectors) {
        score(at(key, from + 2), strip);
      } else if (next < keys.end) {
        score(at(next, first_vector(ends, next)), 1 - strip);
      }
      meet(at(key, from), strip);
    }
    finish(key, first);
    strip = 1 - strip;
  }
}

/// pairs[kStripKeys / 2][vectors before `from`] = 0
inline void clear_vectors(i64 from, Bf16Rows pairs) {
  for (i64 j = 0; j < from * kLanes; j += kLanes) {
    for (i64 key = 0; key < kStripKeys; key += 2) {
      _mm512_storeu_si512(pairs.at(key / 2, 2 * j), _mm512_setzero_si512());
    }
  }
}

/// What a product of Q and K is multiplied by to be a score in base 2, or the argument of tanh. Its
/// sign goes into Q, so that a maximum stays one.
inline float positive_scale(const AttentionParams& params) {
  return __builtin_fabsf(score_scale(params));
}
inline float scale_sign(const AttentionParams& params) {
  return params.scale < 0.0F ? -1.0F : 1.0F;
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
