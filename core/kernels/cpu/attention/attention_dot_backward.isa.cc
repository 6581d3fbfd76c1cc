// SPDX-License-Identifier: Apache-2.0

// The backward pass of attention_backward.isa.cc with bf16 operands, on processors whose vector
// units multiply them; attention_bf16.h draws their layout. Two tiles of rows meet a block of keys
// together, so that dK and dV, which no near cache holds, are read and written half as often. P and
// dS of a block are kept as rows, for dV and dK, and dS as pairs of keys too, for dQ.

#include "core/kernels/cpu/attention/attention_dot.h"
#include "core/kernels/cpu/attention/attention_dropout.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

using attention::KeyGradients;

constexpr i64 kTiles = 2;
constexpr i64 kAllRows = kTiles * kTileRows;

/// One of the tiles.
struct TileWork {
  Tile tile;
  i64 vectors;
  TileRows q_rows;
  TileMask mask;
  TileDraws draws;
  RowSums sums;
  float* dQt;         // [D, kTileRows]
  Bf16Rows Q, dO;     // pairs of columns, [D / 2, kTileRows]
  Bf16Rows dS_pairs;  // pairs of keys, [kBlockKeys / 2, kTileRows]
};

/// A thread's scratch memory.
struct BackwardBuffers {
  TileWork work[kTiles];
  i64 tiles;
  float *S, *dP;             // [kGroupKeys, kTileRows]
  Bf16Rows Q_rows, dO_rows;  // pairs of rows, [kAllRows / 2, width]
  Bf16Rows P, dS;            // rows, [kBlockKeys, kAllRows]
};

i64 thread_floats(const AttentionParams& params) {
  const i64 depth = round_up(params.head_dim, kDepth), width = round_up(params.head_dim, kPad);
  const i64 tile = width + depth + kBlockKeys / 2;
  return (2 * kGroupKeys + kTiles * tile + kTiles * width + kTiles * kBlockKeys) * kTileRows;
}

void set_buffers(i64 D, float* scratch, BackwardBuffers& b) {
  const i64 depth = round_up(D, kDepth), width = round_up(D, kPad);
  ScratchParts parts(scratch);
  b.S = parts.floats(kGroupKeys * kTileRows);
  b.dP = parts.floats(kGroupKeys * kTileRows);
  for (TileWork& work : b.work) {
    work.Q = parts.words(depth / 2, 2 * kTileRows);
    work.dO = parts.words(depth / 2, 2 * kTileRows);
    work.dQt = parts.floats(width * kTileRows);
    work.dS_pairs = parts.words(kBlockKeys / 2, 2 * kTileRows);
  }
  b.Q_rows = parts.words(kAllRows / 2, 2 * width);
  b.dO_rows = parts.words(kAllRows / 2, 2 * width);
  b.P = parts.words(kBlockKeys, kAllRows);
  b.dS = parts.words(kBlockKeys, kAllRows);
}

/// S and dP of a group become P o Z and scale dS, in bf16.
template <bool kSoftcap, bool kDropout>
void weight_gradients(const AttentionParams& params, const Block& group, const TileWork& work,
                      const float* S, const float* dP, Bf16Rows P, Bf16Rows dS, Bf16Rows dS_pairs) {
  const Vec factor = Vec::set(positive_scale(params)), scale = Vec::set(params.scale);
  const Vec cap = Vec::set(params.softcap * kLog2E);
  for (i64 j = 0; j < group.vectors * kLanes; j += kLanes) {
    const Vec minus_lse = -Vec::load(work.sums.lse + j);
    // The scale of dK and dQ is in dS, once, before it is rounded.
    const Vec minus_delta = -(scale * Vec::load(work.sums.delta + j));
    Vec t[kGroupKeys], p[kGroupKeys], ds[kGroupKeys];
#pragma GCC unroll 8
    for (i64 i = 0; i < kGroupKeys; ++i) {
      const Vec s = Vec::load(S + i * kTileRows + j);
      t[i] = kSoftcap ? tanh(factor * s) : s;
      p[i] = fma(kSoftcap ? cap : factor, t[i], minus_lse);
    }
    exp2_all(p);
    if (kSoftcap) {  // a hidden score is -inf, and its tanh only -1
      for (i64 i = 0; i < kGroupKeys; ++i) {
        p[i] = select_less(Vec::load(S + i * kTileRows + j), Vec::set(kLowest), Vec::zero(), p[i]);
      }
    }
    Vec keep[kGroupKeys];
    if (kDropout) {
      draw_group(work.draws, group, j, keep);
    }
#pragma GCC unroll 8
    for (i64 i = 0; i < kGroupKeys; ++i) {
      const Vec dp = Vec::load(dP + i * kTileRows + j);
      ds[i] = p[i] * fma(scale, kDropout ? dp * keep[i] : dp, minus_delta);
      if (kSoftcap) {
        ds[i] = ds[i] * fma(-t[i], t[i], Vec::set(1.0F));
      }
      if (kDropout) {
        p[i] = p[i] * keep[i];
      }
    }
#pragma GCC unroll 4
    for (i64 i = 0; i < kGroupKeys; i += 2) {
      store_rows(narrow(p[i], p[i + 1]), P.at(i, j), P.at(i + 1, j));
      const __m512i both = narrow(ds[i], ds[i + 1]);
      store_rows(both, dS.at(i, j), dS.at(i + 1, j));
      _mm512_storeu_si512(dS_pairs.at(i / 2, 2 * j), interleave_halves(both));
    }
  }
}

using WeightGradients = void (*)(const AttentionParams&, const Block&, const TileWork&,
                                 const float*, const float*, Bf16Rows, Bf16Rows, Bf16Rows);

WeightGradients weight_gradients_for(const AttentionParams& params) {
  if (params.dropout > 0.0F) {
    return params.softcap > 0.0F ? weight_gradients<true, true> : weight_gradients<false, true>;
  }
  return params.softcap > 0.0F ? weight_gradients<true, false> : weight_gradients<false, false>;
}

/// Reads a tile's rows of the tensors.
void start(const Head& head, const AttentionBackward& args, i64 index, BackwardBuffers& b) {
  const AttentionParams& params = *head.params;
  const i64 D = params.head_dim;
  TileWork& work = b.work[index];
  work.vectors = tile_vectors(work.tile);
  work.q_rows = tile_rows(head, work.tile, params.q_stride);
  const TileRows o_rows = tile_rows(head, work.tile, params.o_stride);
  work.sums = row_sums(head, work.tile, args, o_rows);
  work.mask = tile_mask(head, work.tile);
  if (params.dropout > 0.0F) {
    work.draws = tile_draws(head, work.tile);
  }
  const i64 first = index * kTileRows / 2;
  pack_pairs_of_columns(args.q, work.q_rows, D, scale_sign(params), work.Q);
  pack_pairs_of_columns(args.dO, o_rows, D, 1.0F, work.dO);
  pack_pairs_of_rows(args.q, work.q_rows, D, b.Q_rows.from(first, 0));
  pack_pairs_of_rows(args.dO, o_rows, D, b.dO_rows.from(first, 0));
  set_zero(round_up(D, kPad) * kTileRows, work.dQt);
}

/// Tiles [begin, begin + count) of a head, at most kTiles.
struct Pair {
  i64 begin, count;
};

/// A tile of all rows of a pair.
inline Tile pair_rows(const Head& head, const Pair& pair) {
  Tile tile = attention::head_tile(head, pair.begin);
  for (i64 i = 1; i < pair.count; ++i) {
    tile.count += attention::head_tile(head, pair.begin + i).count;
  }
  return tile;
}

using PairAhead = RowsAhead<4>;

/// P and dS of one tile and `count` keys of a block, and what they add to dQ.
void meet_keys(const Head& head, const KeyCopies& copies, i64 begin, i64 count, i64 index,
               const BackwardBuffers& b, PairAhead& ahead) {
  const AttentionParams& params = *head.params;
  const i64 D = params.head_dim, depth = round_up(D, kPad);
  const TileWork& work = b.work[index];
  const WeightGradients gradients = weight_gradients_for(params);
  for (i64 key = 0; key < count; key += kGroupKeys) {
    const Block group = {begin + key, kGroupKeys, 0, work.vectors};
    tile_dots<false>(kGroupKeys, work.vectors, depth, copies.k.from(group.begin, 0), work.Q, b.S);
    tile_dots<false>(kGroupKeys, work.vectors, depth, copies.v.from(group.begin, 0), work.dO, b.dP);
    ahead.fetch();
    // 2^(-inf - lse) is 0, and with it P and dS.
    hide(work.tile, work.mask, group, -kInfinity, b.S);
    gradients(params, group, work, b.S, b.dP, b.P.from(key, index * kTileRows),
              b.dS.from(key, index * kTileRows), work.dS_pairs.from(key / 2, 0));
  }
  if (count > 0) {
    tile_dots<true>(round_up(D, kPad), work.vectors, count, copies.transposed.from(0, begin),
                    work.dS_pairs, work.dQt);
  }
}

/// dK and dV of keys [begin, end) of a block that starts at `base`, from the rows of the tiles
/// behind `first`.
void add_key_gradients(i64 base, KeyRange keys, i64 first, i64 width, const BackwardBuffers& b,
                       const KeyGradients& into) {
  const i64 row = first * kTileRows, count = keys.end - keys.begin;
  const i64 rows = (b.tiles - 1) * kTileRows + b.work[b.tiles - 1].vectors * kLanes - row;
  if (count <= 0) {
    return;
  }
  add_dots(count, width / kLanes, rows, b.P.from(keys.begin, row), b.dO_rows.from(row / 2, 0),
           into.dv + (base + keys.begin) * into.dv_stride, into.dv_stride);
  add_dots(count, width / kLanes, rows, b.dS.from(keys.begin, row), b.Q_rows.from(row / 2, 0),
           into.dk + (base + keys.begin) * into.dk_stride, into.dk_stride);
}

/// One pair of tiles; `next` is the one that will follow.
void backward_pair(const Head& head, const Pair& pair, const Pair& next,
                   const AttentionBackward& args, KeyGradients& into, float* scratch) {
  const AttentionParams& params = *head.params;
  const i64 D = params.head_dim, width = round_up(D, kPad);
  const KeyCopies copies = key_copies(head, const_cast<u16*>(head.copies), true);
  BackwardBuffers b;
  set_buffers(D, scratch, b);
  b.tiles = pair.count;
  for (i64 i = 0; i < b.tiles; ++i) {
    b.work[i].tile = attention::head_tile(head, pair.begin + i);
    start(head, args, i, b);
  }
  // The second tile sees later keys, and maybe not the first ones of the other; it meets them all
  // the same, hidden.
  const KeyRange first = b.work[0].tile.some, second = b.work[b.tiles - 1].tile.some;
  const bool blind = first.begin == first.end;
  const KeyRange keys = {blind ? second.begin : first.begin, second.end};
  const i64 groups = b.tiles * (keys.end - keys.begin) / kGroupKeys;
  const Tile here = pair_rows(head, pair), there = pair_rows(head, next);
  PairAhead ahead(groups, {tile_span(head, here, args.dq, params.q_stride),
                           tile_span(head, there, args.q, params.q_stride),
                           tile_span(head, there, args.o, params.o_stride),
                           tile_span(head, there, args.dO, params.o_stride)});
  for_each_dot_block(keys, [&](i64 begin, i64 exist) {
    const i64 count = round_up(exist, kGroupKeys);
    i64 both = count;
    if (b.tiles > 1) {
      const i64 seen = round_up(first.end - begin, kGroupKeys);
      both = blind || seen < 0 ? 0 : seen < count ? seen : count;
      meet_keys(head, copies, begin, count, 1, b, ahead);
    }
    meet_keys(head, copies, begin, both, 0, b, ahead);
    const i64 shared = both < exist ? both : exist;
    start_sums(begin + exist, width, into);
    add_key_gradients(begin, {0, shared}, 0, width, b, into);
    add_key_gradients(begin, {shared, exist}, 1, width, b, into);
  });
  for (i64 i = 0; i < b.tiles; ++i) {
    unpack_transposed(b.work[i].dQt, 1.0F, b.work[i].q_rows, D, args.dq);
  }
}

void backward_tiles(const Head& head, i64 begin, i64 end, const AttentionBackward& args,
                    KeyGradients into, float* scratch) {
  const auto pair_at = [&](i64 t) { return Pair{t, end - t < kTiles ? end - t : kTiles}; };
  for (i64 t = begin; t < end; t += kTiles) {
    const i64 next = t + kTiles < end ? t + kTiles : t;
    backward_pair(head, pair_at(t), pair_at(next), args, into, scratch);
  }
}

}  // namespace

const attention::Bf16BackwardKernels attention_bf16_backward_kernels = {
    thread_floats, copy_backward_keys, backward_tiles};

}  // namespace inlay::kernels::INLAY_ISA
