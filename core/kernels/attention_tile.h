// SPDX-License-Identifier: Apache-2.0
#pragma once

// Tiled attention: the pieces forward and backward share.
//
// The idea (FlashAttention-2, Dao 2023, arXiv:2307.08691, Alg. 1 and 2): take a tile of query rows
// past the keys, a block at a time. Scores and probabilities live in a small buffer only; backward
// rebuilds them from Q, K and the log-sum-exp of each row.
//
// The layout: scores are held transposed, one row of memory a key, one lane a query row.
//
//        lanes: row 0 .. row 47 (= query * group + head)
//   key 0  [ S00 S10 S20 ...        ]        S[key][row]   scores, then probabilities P, dS
//   key 1  [ S01 S11 S21 ...        ]        Qt[d][row]    Q transposed, likewise dOt, Ot, dQt
//   ...                                      Q[row][d]     rows as they lie, likewise dO, K, V
//
// so that a row's maximum, sum, mask and rescaling are lane by lane, nothing is reduced across
// lanes, and every product is "broadcast a number, multiply it by a vector, add":
//
//                                            broadcast      vector       sums over
//   forward    S[key][row]  =  K Qt          K, in place    Qt           d
//              Ot[d][row]  +=  Vt S          V, in place    S = P        keys
//   backward   dP[key][row] =  V dOt         V, in place    dOt          d
//              dQt[d][row] +=  Kt dS         K, in place    dS           keys
//              dV[key][d]  +=  P dO          P              dO           rows
//              dK[key][d]  +=  dS Q          dS             Q            rows
//
// One function, `product`, does all six. Only Q and dO on their way in, O and dQ on their way out
// are transposed, once a tile; K, V, P and dS never.
//
// Invariants
//  1. No memory outside the rows and columns of the segment is read or written: K and V are read as
//     single numbers, the packed copies of Q and dO are zero beyond the last row and column.
//  2. A lane's value depends on its own row and on the keys' block bounds, which follow from the
//     shape; never on the lanes beside it, on threads, or on other segments.
//  3. Exponents are base 2: Qt carries scale * log2(e), and the same exp2 serves both directions,
//     so backward rebuilds the very probabilities forward used.

#include "core/kernels/attention.isa.h"
#include "core/kernels/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

using attention::Head;
using attention::KeyRange;
using attention::kTileRows;
using attention::Tile;

constexpr i64 kLanes = Vec::kLanes;
constexpr float kLog2E = 1.44269504089F;
constexpr float kLn2 = 0.693147180560F;
constexpr float kInfinity = __builtin_inff();
constexpr i64 kCacheLine = 16;  // floats

// ---- Rows
// ----------------------------------------------------------------------------------------

/// Where the rows of a tile lie in a tensor: row r at base + offset[r], D numbers.
struct TileRows {
  i64 count;
  i64 offset[kTileRows];
};

inline TileRows tile_rows(const Head& head, const Tile& tile, i64 stride) {
  const i64 D = head.params->head_dim;
  TileRows rows;
  rows.count = tile.count;
  i64 query = head.q_begin + tile.begin / head.group;
  i64 member = tile.begin % head.group;
  for (i64 r = 0; r < tile.count; ++r) {
    rows.offset[r] = query * stride + (head.first_head + member) * D;
    if (++member == head.group) {
      member = 0;
      ++query;
    }
  }
  return rows;
}

/// Memory that will be wanted soon: rows of `width` floats.
struct Rows {
  const float* base = nullptr;
  i64 stride = 0, count = 0, width = 0;
};

/// What a product asks for while it runs, in small helpings: many requests at once would stall its
/// own loads.
struct Ahead {
  Rows first, second;
};

/// The rows of a tile: it meets them only once, so they come from far away.
inline Rows tile_span(const Head& head, const Tile& tile, const float* base, i64 stride) {
  const i64 D = head.params->head_dim;
  const i64 first = tile.begin / head.group;
  const i64 last = (tile.begin + tile.count - 1) / head.group;
  return {base + (head.q_begin + first) * stride + head.first_head * D, stride, last - first + 1,
          head.group * D};
}

/// Asks for the helping that belongs to steps [from, to) of `steps`; second-level cache.
inline void fetch(const Rows& rows, i64 from, i64 to, i64 steps) {
  for (i64 r = rows.count * from / steps; r < rows.count * to / steps; ++r) {
    for (i64 d = 0; d < rows.width; d += kCacheLine) {
      __builtin_prefetch(rows.base + r * rows.stride + d, 0, 2);
    }
  }
}

// ---- The product
// ---------------------------------------------------------------------------------

/// Numbers a(i, k) = data[i * row + k * step], read one at a time.
struct Broadcast {
  const float* data;
  i64 row, step;
};

// The block of sums that stays in registers is M x N vectors. AVX-512 (32 registers): 8 x 3 = 24
// sums, 3 vectors, 1 broadcast; 4 vectors where they divide the width. AVX2 (16): 4 x 3. The
// portable form counts on 16 registers of half a Vec.
#if defined(__AVX512F__)
constexpr i64 kMaxVectors = 4;
template <int N>
constexpr int kBlockRows = N == 4 ? 6 : 8;
#elif defined(__AVX2__)
constexpr i64 kMaxVectors = 3;
template <int N>
constexpr int kBlockRows = 4;
#else
constexpr i64 kMaxVectors = 2;
template <int N>
constexpr int kBlockRows = 2;
#endif

/// c[i][0 .. N vectors) = or += sum over k < depth of a(i, k) * b[k][0 .. N vectors), i < M.
template <int M, int N>
inline void product_block(Broadcast a, const float* b, i64 b_stride, i64 depth, float* c,
                          i64 c_stride, bool add) {
  Vec sum[M][N];
  const float* row[M];
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
    row[i] = a.data + i * a.row;
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      sum[i][j] = add ? Vec::load(c + i * c_stride + j * kLanes) : Vec::zero();
    }
  }
  for (i64 k = 0; k < depth; ++k, b += b_stride) {
    Vec right[N];
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      right[j] = Vec::load(b + j * kLanes);
    }
#pragma GCC unroll 8
    for (int i = 0; i < M; ++i) {
      const Vec left = Vec::set(row[i][k * a.step]);
#pragma GCC unroll 4
      for (int j = 0; j < N; ++j) {
        sum[i][j] = fma(left, right[j], sum[i][j]);
      }
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      sum[i][j].store(c + i * c_stride + j * kLanes);
    }
  }
}

template <int N>
void product_panel(i64 rows, Broadcast a, const float* b, i64 b_stride, i64 depth, float* c,
                   i64 c_stride, bool add, const Ahead& ahead) {
  constexpr int kRows = kBlockRows<N>;
  i64 i = 0;
  const auto at = [&](i64 at_row) { return Broadcast{a.data + at_row * a.row, a.row, a.step}; };
  for (; i + kRows <= rows; i += kRows) {
    fetch(ahead.first, i, i + kRows, rows);
    fetch(ahead.second, i, i + kRows, rows);
    product_block<kRows, N>(at(i), b, b_stride, depth, c + i * c_stride, c_stride, add);
  }
  if (kRows > 4 && i + 4 <= rows) {
    product_block<4, N>(at(i), b, b_stride, depth, c + i * c_stride, c_stride, add);
    i += 4;
  }
  if (kRows > 2 && i + 2 <= rows) {
    product_block<2, N>(at(i), b, b_stride, depth, c + i * c_stride, c_stride, add);
    i += 2;
  }
  if (i < rows) {
    product_block<1, N>(at(i), b, b_stride, depth, c + i * c_stride, c_stride, add);
  }
}

/// c[rows][vectors] = or += a[rows][depth] b[depth][vectors]. Each sum runs over k in order, from 0
/// or from what c holds.
void product(i64 rows, i64 vectors, i64 depth, Broadcast a, const float* b, i64 b_stride, float* c,
             i64 c_stride, bool add, Ahead ahead = {}) {
  while (vectors > 0) {
    // Panels of even width: 5 vectors are 3 + 2, not 4 + 1.
    const i64 panels = (vectors + kMaxVectors - 1) / kMaxVectors;
    const i64 width = (vectors + panels - 1) / panels;
    switch (width) {
#if defined(__AVX512F__)
      case 4:
        product_panel<4>(rows, a, b, b_stride, depth, c, c_stride, add, ahead);
        break;
#endif
#if defined(__AVX2__)
      case 3:
        product_panel<3>(rows, a, b, b_stride, depth, c, c_stride, add, ahead);
        break;
#endif
      case 2:
        product_panel<2>(rows, a, b, b_stride, depth, c, c_stride, add, ahead);
        break;
      default:
        product_panel<1>(rows, a, b, b_stride, depth, c, c_stride, add, ahead);
        break;
    }
    b += width * kLanes;
    c += width * kLanes;
    vectors -= width;
    ahead = {};
  }
}

// ---- Rows of Q, dO in; rows of O, dQ out
// ---------------------------------------------------------

/// out[i][j] = in[j][i]
inline void transpose(const Vec (&in)[kLanes], Vec (&out)[kLanes]) {
#if defined(__AVX512F__)
  // Pairs, then quads, inside each 128-bit part; then the parts themselves.
  __m512 pair[16], quad[16];
  for (int i = 0; i < 16; i += 2) {
    pair[i] = _mm512_unpacklo_ps(in[i].v, in[i + 1].v);
    pair[i + 1] = _mm512_unpackhi_ps(in[i].v, in[i + 1].v);
  }
  for (int i = 0; i < 16; i += 4) {
    quad[i] = _mm512_shuffle_ps(pair[i], pair[i + 2], 0x44);
    quad[i + 1] = _mm512_shuffle_ps(pair[i], pair[i + 2], 0xEE);
    quad[i + 2] = _mm512_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
    quad[i + 3] = _mm512_shuffle_ps(pair[i + 1], pair[i + 3], 0xEE);
  }
  for (int i = 0; i < 4; ++i) {
    const __m512 even_low = _mm512_shuffle_f32x4(quad[i], quad[i + 4], 0x88);
    const __m512 odd_low = _mm512_shuffle_f32x4(quad[i], quad[i + 4], 0xDD);
    const __m512 even_high = _mm512_shuffle_f32x4(quad[i + 8], quad[i + 12], 0x88);
    const __m512 odd_high = _mm512_shuffle_f32x4(quad[i + 8], quad[i + 12], 0xDD);
    out[i].v = _mm512_shuffle_f32x4(even_low, even_high, 0x88);
    out[i + 4].v = _mm512_shuffle_f32x4(odd_low, odd_high, 0x88);
    out[i + 8].v = _mm512_shuffle_f32x4(even_low, even_high, 0xDD);
    out[i + 12].v = _mm512_shuffle_f32x4(odd_low, odd_high, 0xDD);
  }
#elif defined(__AVX2__)
  __m256 pair[8], quad[8];
  for (int i = 0; i < 8; i += 2) {
    pair[i] = _mm256_unpacklo_ps(in[i].v, in[i + 1].v);
    pair[i + 1] = _mm256_unpackhi_ps(in[i].v, in[i + 1].v);
  }
  for (int i = 0; i < 8; i += 4) {
    quad[i] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0x44);
    quad[i + 1] = _mm256_shuffle_ps(pair[i], pair[i + 2], 0xEE);
    quad[i + 2] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0x44);
    quad[i + 3] = _mm256_shuffle_ps(pair[i + 1], pair[i + 3], 0xEE);
  }
  for (int i = 0; i < 4; ++i) {
    out[i].v = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x20);
    out[i + 4].v = _mm256_permute2f128_ps(quad[i], quad[i + 4], 0x31);
  }
#else
  for (i64 i = 0; i < kLanes; ++i) {
    out[i] = Vec::make([&](i64 j) { return in[j].lane(i); });
  }
#endif
}

/// transposed[d][r] = scale * base[r][d]; lanes behind the last row are 0.
inline void pack_transposed(const float* base, const TileRows& rows, i64 D, float scale,
                            float* transposed) {
  for (i64 r0 = 0; r0 < rows.count; r0 += kLanes) {
    const i64 lanes = rows.count - r0 < kLanes ? rows.count - r0 : kLanes;
    for (i64 d0 = 0; d0 < D; d0 += kLanes) {
      const i64 width = D - d0 < kLanes ? D - d0 : kLanes;
      Vec in[kLanes], out[kLanes];
      for (i64 r = 0; r < lanes; ++r) {
        in[r] = Vec::load(base + rows.offset[r0 + r] + d0, width);
      }
      for (i64 r = lanes; r < kLanes; ++r) {
        in[r] = Vec::zero();
      }
      transpose(in, out);
      for (i64 d = 0; d < width; ++d) {
        (out[d] * Vec::set(scale)).store(transposed + (d0 + d) * kTileRows + r0);
      }
    }
  }
}

/// base[r][d] = scale[r] * transposed[d][r]
inline void unpack_transposed(const float* transposed, const float* scale, const TileRows& rows,
                              i64 D, float* base) {
  for (i64 r0 = 0; r0 < rows.count; r0 += kLanes) {
    const i64 lanes = rows.count - r0 < kLanes ? rows.count - r0 : kLanes;
    const Vec factor = Vec::load(scale + r0);
    for (i64 d0 = 0; d0 < D; d0 += kLanes) {
      const i64 width = D - d0 < kLanes ? D - d0 : kLanes;
      Vec in[kLanes], out[kLanes];
      for (i64 d = 0; d < width; ++d) {
        in[d] = factor * Vec::load(transposed + (d0 + d) * kTileRows + r0);
      }
      for (i64 d = width; d < kLanes; ++d) {
        in[d] = Vec::zero();
      }
      transpose(in, out);
      for (i64 r = 0; r < lanes; ++r) {
        out[r].store(base + rows.offset[r0 + r] + d0, width);
      }
    }
  }
}

/// packed[r][d] = scale * base[r][d], columns up to the whole vector zero.
inline void pack_rows(const float* base, const TileRows& rows, i64 D, float scale, float* packed,
                      i64 stride) {
  for (i64 r = 0; r < rows.count; ++r) {
    for (i64 d = 0; d < D; d += kLanes) {
      const Vec x = Vec::load(base + rows.offset[r] + d, D - d < kLanes ? D - d : kLanes);
      (x * Vec::set(scale)).store(packed + r * stride + d);
    }
  }
}

// ---- Scores
// --------------------------------------------------------------------------------------

/// What Q is multiplied by, so that K Qt yields scores in base 2, or the argument of tanh.
inline float score_scale(const AttentionParams& params) {
  return params.softcap > 0.0F ? params.scale / params.softcap : params.scale * kLog2E;
}

/// Calls block(first key, keys) for the blocks of a range: as few as there can be, of even length,
/// so that no short one is left to pay for a whole pass over the sums.
template <class Block>
inline void for_each_block(KeyRange keys, Block block) {
  if (keys.end == keys.begin) {
    return;
  }
  const i64 count = keys.end - keys.begin;
  const i64 blocks = (count + attention::kBlockKeys - 1) / attention::kBlockKeys;
  const i64 length = attention::round_up((count + blocks - 1) / blocks, 8);
  for (i64 k = keys.begin; k < keys.end; k += length) {
    block(k, keys.end - k < length ? keys.end - k : length);
  }
}

/// The keys a tile's rows see, where not all see the same: row r sees the keys of tile.some from
/// tile.some.begin + begin[r] up to tile.all.end + end[r]. Counted from there because small whole
/// numbers are exact in a float.
struct TileMask {
  float begin[kTileRows], end[kTileRows];
};

inline TileMask tile_mask(const Head& head, const Tile& tile) {
  TileMask mask = {};
  i64 query = tile.begin / head.group;
  i64 member = tile.begin % head.group;
  KeyRange keys = attention::query_keys(head, query);
  for (i64 r = 0; r < tile.count; ++r) {
    mask.begin[r] = static_cast<float>(keys.begin - tile.some.begin);
    mask.end[r] = static_cast<float>(keys.end - tile.all.end);
    if (++member == head.group) {
      member = 0;
      keys = attention::query_keys(head, ++query);
    }
  }
  return mask;
}

/// scores[key][r] = value for every hidden pair of the block; reads only the keys that some row
/// does not see.
inline void hide(const Tile& tile, const TileMask& mask, i64 first_key, i64 keys, i64 vectors,
                 float value, float* scores) {
  const Vec hidden = Vec::set(value);
  for (i64 key = 0; key < keys && first_key + key < tile.all.begin; ++key) {
    const Vec position = Vec::set(static_cast<float>(first_key + key - tile.some.begin));
    for (i64 j = 0; j < vectors * kLanes; j += kLanes) {
      float* s = scores + key * kTileRows + j;
      select_less(position, Vec::load(mask.begin + j), hidden, Vec::load(s)).store(s);
    }
  }
  const i64 from = tile.all.end > first_key ? tile.all.end - first_key : 0;
  for (i64 key = from; key < keys; ++key) {
    const Vec position = Vec::set(static_cast<float>(first_key + key - tile.all.end));
    for (i64 j = 0; j < vectors * kLanes; j += kLanes) {
      float* s = scores + key * kTileRows + j;
      select_less(position, Vec::load(mask.end + j), Vec::load(s), hidden).store(s);
    }
  }
}

// ---- Dropout
// -------------------------------------------------------------------------------------

/// The counters of a tile's rows; see AttentionParams::dropout_key.
struct TileDraws {
  u32 query[kTileRows], member[kTileRows];
};

inline TileDraws tile_draws(const Head& head, const Tile& tile) {
  TileDraws draws = {};
  for (i64 r = 0; r < tile.count; ++r) {
    draws.query[r] = static_cast<u32>((tile.begin + r) / head.group);
    draws.member[r] = static_cast<u32>(head.first_head + (tile.begin + r) % head.group);
  }
  return draws;
}

/// philox() of philox.h, a lane a counter: keep[i][lane] = 1 / (1 - dropout) or 0 for key 4 * quad
/// + i of the rows from r0 on.
inline void draw_keep(const Head& head, const TileDraws& draws, i64 quad, i64 r0,
                      float (&keep)[4][kLanes]) {
  u32 x0[kLanes], x1[kLanes], x2[kLanes], x3[kLanes];
  for (i64 i = 0; i < kLanes; ++i) {
    x0[i] = static_cast<u32>(quad);
    x1[i] = draws.query[r0 + i];
    x2[i] = static_cast<u32>(head.segment);
    x3[i] = draws.member[r0 + i];
  }
  u32 k0 = static_cast<u32>(head.params->dropout_key);
  u32 k1 = static_cast<u32>(head.params->dropout_key >> 32);
  for (int round = 0; round < 10; ++round) {
    for (i64 i = 0; i < kLanes; ++i) {
      const u64 product0 = u64{0xD2511F53U} * x0[i];
      const u64 product1 = u64{0xCD9E8D57U} * x2[i];
      x0[i] = static_cast<u32>(product1 >> 32) ^ x1[i] ^ k0;
      x1[i] = static_cast<u32>(product1);
      x2[i] = static_cast<u32>(product0 >> 32) ^ x3[i] ^ k1;
      x3[i] = static_cast<u32>(product0);
    }
    k0 += 0x9E3779B9U;
    k1 += 0xBB67AE85U;
  }
  // word < dropout * 2^32, the product rounded up to a whole number: the same comparison.
  const u64 threshold =
      static_cast<u64>(__builtin_ceil(static_cast<double>(head.params->dropout) * 0x1p32));
  const float kept = 1.0F / (1.0F - head.params->dropout);
  for (i64 i = 0; i < kLanes; ++i) {
    keep[0][i] = x0[i] < threshold ? 0.0F : kept;
    keep[1][i] = x1[i] < threshold ? 0.0F : kept;
    keep[2][i] = x2[i] < threshold ? 0.0F : kept;
    keep[3][i] = x3[i] < threshold ? 0.0F : kept;
  }
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
