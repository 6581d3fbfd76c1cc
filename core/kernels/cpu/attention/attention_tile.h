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
//   ...                                      Q[row][d]     rows in place, likewise dO, K, V
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

#include "core/kernels/cpu/attention/attention.isa.h"
#include "core/kernels/cpu/attention/attention_product.h"
#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

using attention::Head;
using attention::KeyRange;
using attention::Tile;

#if defined(__AMX_BF16__)
constexpr i64 kTileRows = attention::kAmxRows;
#else
constexpr i64 kTileRows = attention::kTileRows;
#endif

constexpr float kLog2E = 1.44269504089F;
constexpr float kLn2 = 0.693147180560F;
constexpr float kInfinity = __builtin_inff();

/// A score at or below this is -inf: the row has seen no key yet.
constexpr float kLowest = -3.4028234e38F;

/// Calls row(r, query, member) for the rows of a tile: which query of the segment, and which of the
/// group's heads.
template <class Row>
inline void for_each_row(const Head& head, const Tile& tile, Row row) {
  i64 query = tile.begin / head.group;
  i64 member = tile.begin % head.group;
  for (i64 r = 0; r < tile.count; ++r) {
    row(r, query, member);
    if (++member == head.group) {
      member = 0;
      ++query;
    }
  }
}

/// Where the rows of a tile are in a tensor: row r at base + offset[r], D numbers.
struct TileRows {
  i64 count;
  i64 offset[kTileRows];
};

inline TileRows tile_rows(const Head& head, const Tile& tile, i64 stride) {
  TileRows rows;
  rows.count = tile.count;
  for_each_row(head, tile, [&](i64 r, i64 query, i64 member) {
    rows.offset[r] =
        (head.q_begin + query) * stride + (head.first_head + member) * head.params->head_dim;
  });
  return rows;
}

/// x[i] = 0, for whole vectors.
inline void set_zero(i64 count, float* x) {
  for (i64 i = 0; i < count; i += kLanes) {
    Vec::zero().store(x + i);
  }
}

/// Sums of keys before `end` are about to grow: those that are fresh become 0.
inline void start_sums(i64 end, i64 width, attention::KeyGradients& into) {
  for (; into.fresh < end; ++into.fresh) {
    set_zero(width, into.dk + into.fresh * into.dk_stride);
    set_zero(width, into.dv + into.fresh * into.dv_stride);
  }
}

/// Where a tile's row keeps its log-sum-exp.
inline i64 lse_index(const Head& head, i64 total_q, i64 query, i64 member) {
  return (head.first_head + member) * total_q + head.q_begin + query;
}

/// The rows of a tile: each is read only once, so they come from memory, not from a cache.
inline Rows tile_span(const Head& head, const Tile& tile, const float* base, i64 stride) {
  const i64 D = head.params->head_dim;
  const i64 first = tile.begin / head.group;
  const i64 last = (tile.begin + tile.count - 1) / head.group;
  return {base + (head.q_begin + first) * stride + head.first_head * D, stride, last - first + 1,
          head.group * D};
}

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

/// Calls block(d, width) for 16 columns at a time (as many as a Vec has), `width` being AllLanes or
/// the number left.
template <class Block>
inline void for_each_column(i64 D, Block block) {
  i64 d = 0;
  for (; d + kLanes <= D; d += kLanes) {
    block(d, AllLanes());
  }
  if (d < D) {
    block(d, D - d);
  }
}

inline i64 count_of(AllLanes /*all*/) {
  return kLanes;
}
inline i64 count_of(i64 count) {
  return count;
}

/// transposed[d][r] = scale * base[r][d]; lanes behind the last row are 0.
inline void pack_transposed(const float* base, const TileRows& rows, i64 D, float scale,
                            float* transposed) {
  for (i64 r0 = 0; r0 < rows.count; r0 += kLanes) {
    const i64 lanes = rows.count - r0 < kLanes ? rows.count - r0 : kLanes;
    for_each_column(D, [&](i64 d0, auto width) {
      Vec in[kLanes], out[kLanes];
      for (i64 r = 0; r < lanes; ++r) {
        in[r] = load(base + rows.offset[r0 + r] + d0, width);
      }
      for (i64 r = lanes; r < kLanes; ++r) {
        in[r] = Vec::zero();
      }
      transpose(in, out);
      for (i64 d = 0; d < count_of(width); ++d) {
        (out[d] * Vec::set(scale)).store(transposed + (d0 + d) * kTileRows + r0);
      }
    });
  }
}

/// base[r][d] = scale[r] * transposed[d][r]
inline void unpack_transposed(const float* transposed, const float* scale, const TileRows& rows,
                              i64 D, float* base) {
  for (i64 r0 = 0; r0 < rows.count; r0 += kLanes) {
    const i64 lanes = rows.count - r0 < kLanes ? rows.count - r0 : kLanes;
    const Vec factor = Vec::load(scale + r0);
    for_each_column(D, [&](i64 d0, auto width) {
      Vec in[kLanes], out[kLanes];
      for (i64 d = 0; d < count_of(width); ++d) {
        in[d] = factor * Vec::load(transposed + (d0 + d) * kTileRows + r0);
      }
      for (i64 d = count_of(width); d < kLanes; ++d) {
        in[d] = Vec::zero();
      }
      transpose(in, out);
      for (i64 r = 0; r < lanes; ++r) {
        store(out[r], base + rows.offset[r0 + r] + d0, width);
      }
    });
  }
}

/// The same with one scale for all rows.
inline void unpack_transposed(const float* transposed, float scale, const TileRows& rows, i64 D,
                              float* base) {
  alignas(64) float scales[kTileRows];
  for (float& s : scales) {
    s = scale;
  }
  unpack_transposed(transposed, scales, rows, D, base);
}

/// body(tile, next) for the tiles [begin, end) of a head; `next` follows, or is the last itself.
template <class Body>
inline void for_tiles(const Head& head, i64 begin, i64 end, Body body) {
  for (i64 t = begin; t < end; ++t) {
    body(attention::head_tile(head, t), attention::head_tile(head, t + 1 < end ? t + 1 : t));
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

/// x[i][j] = factor * bf16(x[i][j]), to nearest, ties to even.
inline void round_to_bf16(i64 rows, i64 columns, float factor, float* x, i64 stride) {
  for (i64 i = 0; i < rows; ++i) {
    for (i64 j = 0; j < columns; ++j) {
      const u32 bits = __builtin_bit_cast(u32, x[i * stride + j]);
      const u32 rounded = (bits + 0x7FFFU + (bits >> 16 & 1U)) & 0xFFFF0000U;
      const bool nan = (bits & 0x7FFFFFFFU) > 0x7F800000U;
      x[i * stride + j] = factor * __builtin_bit_cast(float, nan ? bits : rounded);
    }
  }
}

/// A range of rows of K and of the tensors like it, for whoever asks for them ahead.
struct KeyRows {
  i64 D;
  bool far;  // too many to be found in the second-level cache when the next tile comes by

  Rows operator()(const float* base, i64 stride, i64 count) const {
    return far ? Rows{base, stride, count, D} : Rows{};
  }
};

inline KeyRows key_rows(i64 D, KeyRange keys, i64 tensors) {
  constexpr i64 kNearFloats = i64{1} << 18;  // 1 MB: half of a large second-level cache
  return {D, (keys.end - keys.begin) * D * tensors > kNearFloats};
}

/// What a row brings besides Q and dO: lse in base 2, and rowsum(dO o O).
struct RowSums {
  alignas(64) float lse[kTileRows];
  alignas(64) float delta[kTileRows];
};

inline RowSums row_sums(const Head& head, const Tile& tile, const AttentionBackward& args,
                        const TileRows& rows) {
  const i64 D = head.params->head_dim;
  RowSums sums;
  for (i64 r = 0; r < kTileRows; ++r) {  // 2^(S - inf) = 0: no weight behind the last row
    sums.lse[r] = kInfinity;
    sums.delta[r] = 0.0F;
  }
  for_each_row(head, tile, [&](i64 r, i64 query, i64 member) {
    sums.lse[r] = kLog2E * args.lse[lse_index(head, args.total_q, query, member)];
    Vec sum = Vec::zero();
    for_each_column(D, [&](i64 d, auto width) {
      sum = fma(load(args.dO + rows.offset[r] + d, width), load(args.o + rows.offset[r] + d, width),
                sum);
    });
    sums.delta[r] = reduce_add(sum);
  });
  return sums;
}

/// What Q is multiplied by, so that K Qt yields scores in base 2, or the argument of tanh.
inline float score_scale(const AttentionParams& params) {
  return params.softcap > 0.0F ? params.scale / params.softcap : params.scale * kLog2E;
}

/// Keys [begin, begin + count) and the vectors [from, from + vectors) of a tile's rows that meet
/// them.
struct Block {
  i64 begin, count;
  i64 from, vectors;
};

/// Calls meet(block) for even pieces of a range: as few as there can be, so that no short one is
/// left to pay for a whole pass over the sums.
template <class Meet>
inline void for_each_piece(KeyRange keys, i64 from, i64 vectors, Meet meet) {
  if (keys.end <= keys.begin) {
    return;
  }
  const i64 count = keys.end - keys.begin;
  const i64 blocks = (count + attention::kBlockKeys - 1) / attention::kBlockKeys;
  const i64 length = attention::round_up((count + blocks - 1) / blocks, 8);
  for (i64 k = keys.begin; k < keys.end; k += length) {
    meet(Block{k, keys.end - k < length ? keys.end - k : length, from, vectors});
  }
}

/// Calls meet(block) for the blocks of a range. Where the diagonal crosses the tile like a stair,
/// one step for each 16 rows, the rows whose keys have ended are left out; steps of few keys (large
/// groups) cost more than they save.
template <class Meet>
inline void for_each_block(const Head& head, const Tile& tile, KeyRange keys, Meet meet) {
  constexpr i64 kStepRows = 16, kStepKeys = 16;
  const i64 vectors = (tile.count + kLanes - 1) / kLanes;
  KeyRange rest = keys;
  i64 from = 0;
  for (i64 row = kStepRows; row < tile.count; row += kStepRows) {
    const i64 seen = attention::query_keys(head, (tile.begin + row - 1) / head.group).end;
    const i64 end = rest.begin + attention::round_up(seen - rest.begin, 8);
    if (end - rest.begin >= kStepKeys && keys.end - end >= kStepKeys) {
      for_each_piece({rest.begin, end}, from, vectors - from, meet);
      rest.begin = end;
      from = row / kLanes;
    }
  }
  for_each_piece(rest, from, vectors - from, meet);
}

/// The keys a tile's rows see, where not all see the same: row r sees the keys of tile.some from
/// tile.some.begin + begin[r] up to tile.all.end + end[r]. Counted from there because small whole
/// numbers are exact in a float.
struct TileMask {
  float begin[kTileRows], end[kTileRows];
};

inline TileMask tile_mask(const Head& head, const Tile& tile) {
  TileMask mask = {};
  for_each_row(head, tile, [&](i64 r, i64 query, i64 /*member*/) {
    const KeyRange keys = attention::query_keys(head, query);
    mask.begin[r] = static_cast<float>(keys.begin - tile.some.begin);
    mask.end[r] = static_cast<float>(keys.end - tile.all.end);
  });
  return mask;
}

/// scores[key][r] = value for every hidden pair of the block; reads only the keys that some row
/// does not see.
inline void hide(const Tile& tile, const TileMask& mask, const Block& block, float value,
                 float* scores) {
  const Vec hidden = Vec::set(value);
  const i64 first_key = block.begin, keys = block.count;
  const i64 first = block.from * kLanes, last = (block.from + block.vectors) * kLanes;
  for (i64 key = 0; key < keys && first_key + key < tile.all.begin; ++key) {
    const Vec position = Vec::set(static_cast<float>(first_key + key - tile.some.begin));
    for (i64 j = first; j < last; j += kLanes) {
      float* s = scores + key * kTileRows + j;
      select_less(position, Vec::load(mask.begin + j), hidden, Vec::load(s)).store(s);
    }
  }
  const i64 from = tile.all.end > first_key ? tile.all.end - first_key : 0;
  for (i64 key = from; key < keys; ++key) {
    const Vec position = Vec::set(static_cast<float>(first_key + key - tile.all.end));
    for (i64 j = first; j < last; j += kLanes) {
      float* s = scores + key * kTileRows + j;
      select_less(position, Vec::load(mask.end + j), Vec::load(s), hidden).store(s);
    }
  }
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
