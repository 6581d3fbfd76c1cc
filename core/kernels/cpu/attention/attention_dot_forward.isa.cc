// SPDX-License-Identifier: Apache-2.0

// The forward pass of attention_forward.isa.cc with bf16 operands, on processors whose vector units
// multiply them; attention_bf16.h draws their layout. Eight keys' scores become weights at a time,
// and the weights of a whole block meet V at once.

#include "core/kernels/cpu/attention/attention_dot.h"
#include "core/kernels/cpu/attention/attention_dropout.h"
#include "core/kernels/cpu/attention/attention_softmax.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

/// A thread's scratch memory.
struct ForwardBuffers {
  float *m, *l, *Ot;  // the running softmax, as state_floats() has it
  float* minus;       // [kTileRows]: -m, or 0 before a row's first key
  float* shrink;      // [kTileRows]: what a risen m multiplies the sums with
  float* limit;       // [kTileRows]: a higher product of Q and K makes m rise
  float* S;           // [kGroupKeys, kTileRows]
  Bf16Rows Q;         // pairs of columns, [D / 2, kTileRows]
  Bf16Rows P;         // pairs of keys, [kBlockKeys / 2, kTileRows]
};

i64 thread_floats(const AttentionParams& params) {
  const i64 depth = round_up(params.head_dim, kDepth), width = round_up(params.head_dim, kPad);
  return (2 + width + 3 + kGroupKeys + depth / 2 + kBlockKeys / 2) * kTileRows;
}

ForwardBuffers forward_buffers(i64 D, float* scratch) {
  const i64 depth = round_up(D, kDepth), width = round_up(D, kPad);
  ForwardBuffers b;
  ScratchParts parts(scratch);
  b.m = parts.floats(kTileRows);
  b.l = parts.floats(kTileRows);
  b.Ot = parts.floats(width * kTileRows);
  b.minus = parts.floats(kTileRows);
  b.shrink = parts.floats(kTileRows);
  b.limit = parts.floats(kTileRows);
  b.S = parts.floats(kGroupKeys * kTileRows);
  b.Q = parts.words(depth / 2, 2 * kTileRows);
  b.P = parts.words(kBlockKeys / 2, 2 * kTileRows);
  return b;
}

/// The highest of a group's scores in a vector of rows.
inline Vec highest(float factor, const float* S) {
  Vec top[4];
#pragma GCC unroll 4
  for (i64 i = 0; i < 4; ++i) {
    top[i] = max(Vec::load(S + i * kTileRows), Vec::load(S + (i + 4) * kTileRows));
  }
  return Vec::set(factor) * max(max(top[0], top[1]), max(top[2], top[3]));
}

/// Some score of a group is so high that its row's m must follow.
inline bool must_rise(i64 vectors, const float* S, const float* limit) {
  __mmask16 some = 0;
  for (i64 j = 0; j < vectors * kLanes; j += kLanes) {
    some |= _mm512_cmp_ps_mask(Vec::load(limit + j).v, highest(1.0F, S + j).v, _CMP_LT_OQ);
  }
  return some != 0;
}

/// The scores of a group; returns must_rise(), as long as they are in registers.
template <int N, int kUnroll>
bool score_panel(i64 steps, const float* K, i64 stride, const float* Q, const float* limit,
                 float* S) {
  __mmask16 some = 0;
  const auto look = [&](const Vec(&sum)[kGroupKeys][N]) {
#pragma GCC unroll 3
    for (int j = 0; j < N; ++j) {
      const Vec low = max(max(sum[0][j], sum[1][j]), max(sum[2][j], sum[3][j]));
      const Vec high = max(max(sum[4][j], sum[5][j]), max(sum[6][j], sum[7][j]));
      some |= _mm512_cmp_ps_mask(Vec::load(limit + j * kLanes).v, max(low, high).v, _CMP_LT_OQ);
    }
  };
  dots_block<kGroupKeys, N, kUnroll, false>(K, stride, Q, kTileRows, steps, S, kTileRows, look);
  return some != 0;
}

bool score_group(i64 vectors, i64 depth, Bf16Rows keys, const ForwardBuffers& b) {
  const i64 steps = depth / 2;
  const bool whole = steps % 8 == 0;
  const auto panel = vectors == 3   ? (whole ? score_panel<3, 8> : score_panel<3, 4>)
                     : vectors == 2 ? (whole ? score_panel<2, 8> : score_panel<2, 4>)
                                    : (whole ? score_panel<1, 8> : score_panel<1, 4>);
  return panel(steps, reinterpret_cast<const float*>(keys.data), keys.stride / 2,
               reinterpret_cast<const float*>(b.Q.data), b.limit, b.S);
}

/// m follows, and the sums shrink.
void raise_maxima(i64 D, i64 vectors, float factor, const ForwardBuffers& b) {
  for (i64 j = 0; j < vectors * kLanes; j += kLanes) {
    const Vec top = highest(factor, b.S + j), old = Vec::load(b.m + j);
    const Vec now = select_less(old + Vec::set(kSlack), top, top, old);
    const Vec base = select_less(now, Vec::set(kLowest), Vec::zero(), now);
    // Before the first key there is nothing to shrink, and -inf - -inf would be NaN.
    const Vec shrink = select_less(old, Vec::set(kLowest), Vec::set(1.0F), exp2(old - base));
    now.store(b.m + j);
    // Stored as -m, for an fma; and m + kSlack in units of the products, to compare them as they
    // are.
    (-base).store(b.minus + j);
    (Vec::set(1.0F / factor) * (now + Vec::set(kSlack))).store(b.limit + j);
    shrink.store(b.shrink + j);
    (shrink * Vec::load(b.l + j)).store(b.l + j);
  }
  scale_rows(D, vectors, b.shrink, b.Ot);
}

/// The scores of a group become pairs of weights, and l takes them in.
template <bool kDropout>
void weigh(const Block& group, float factor, const TileDraws* draws, const ForwardBuffers& b,
           Bf16Rows weights) {
  const Vec scale = Vec::set(factor);
  for (i64 j = 0; j < group.vectors * kLanes; j += kLanes) {
    const Vec minus = Vec::load(b.minus + j);
    Vec weight[kGroupKeys];
#pragma GCC unroll 8
    for (i64 i = 0; i < kGroupKeys; ++i) {
      weight[i] = fma(scale, Vec::load(b.S + i * kTileRows + j), minus);
    }
    exp2_all(weight);
    const Vec low = (weight[0] + weight[1]) + (weight[2] + weight[3]);
    const Vec high = (weight[4] + weight[5]) + (weight[6] + weight[7]);
    (Vec::load(b.l + j) + (low + high)).store(b.l + j);
    if (kDropout) {
      Vec keep[kGroupKeys];
      draw_group(*draws, group, j, keep);
      for (i64 i = 0; i < kGroupKeys; ++i) {
        weight[i] = weight[i] * keep[i];
      }
    }
#pragma GCC unroll 4
    for (i64 i = 0; i < kGroupKeys; i += 2) {
      _mm512_storeu_si512(weights.at(i / 2, 2 * j), narrow_pairs(weight[i], weight[i + 1]));
    }
  }
}

/// One tile; `next` is the one that will follow.
void forward_tile(const Head& head, const Tile& tile, const Tile& next,
                  const AttentionForward& args, float* scratch) {
  const AttentionParams& params = *head.params;
  const i64 D = params.head_dim, depth = round_up(D, kPad), width = depth;
  const i64 vectors = tile_vectors(tile);
  const KeyCopies copies = key_copies(head, const_cast<u16*>(head.copies), false);
  const ForwardBuffers b = forward_buffers(D, scratch);
  const TileMask mask = tile_mask(head, tile);
  const TileDraws draws = params.dropout > 0.0F ? tile_draws(head, tile) : TileDraws{};
  // Q is packed with the sign of the scale alone, so that it stays the bf16 it was; the factor
  // comes with the fma before 2^x, or with the cap.
  const float factor = params.softcap > 0.0F ? 1.0F : positive_scale(params);
  const auto weigh_group = params.dropout > 0.0F ? weigh<true> : weigh<false>;

  pack_pairs_of_columns(args.q, tile_rows(head, tile, params.q_stride), D, scale_sign(params), b.Q);
  for (i64 i = 0; i < kTileRows; ++i) {
    b.m[i] = b.limit[i] = -kInfinity;
    b.minus[i] = b.l[i] = 0.0F;
  }
  set_zero(width * kTileRows, b.Ot);
  const i64 groups = (tile.some.end - tile.some.begin + kGroupKeys - 1) / kGroupKeys;
  RowsAhead<2> ahead(groups, {tile_span(head, tile, args.o, params.o_stride),
                              tile_span(head, next, args.q, params.q_stride)});
  for_each_dot_block(tile.some, [&](i64 begin, i64 keys) {
    const i64 count = round_up(keys, kGroupKeys);
    // The weights of the keys before `met` are in Ot.
    i64 met = 0;
    const auto meet_values = [&](i64 end) {
      if (end > met) {
        tile_dots<true>(width, vectors, end - met, copies.transposed.from(0, begin + met),
                        b.P.from(met / 2, 0), b.Ot);
      }
      met = end;
    };
    for (i64 key = 0; key < count; key += kGroupKeys) {
      const Block group = {begin + key, kGroupKeys, 0, vectors};
      const bool may_rise = score_group(vectors, depth, copies.k.from(group.begin, 0), b);
      if (params.softcap > 0.0F) {
        cap_scores(params, positive_scale(params), kGroupKeys, vectors, b.S);
      }
      // After the cap, which would make -cap of the -inf.
      hide(tile, mask, group, -kInfinity, b.S);
      // may_rise was seen before hidden scores were set to -inf, and before a cap: it can be wrong,
      // so the scores are looked at again, which is seldom.
      if ((may_rise || params.softcap > 0.0F) && must_rise(vectors, b.S, b.limit)) {
        // Weights made with the old m belong to sums of the old m: they join Ot before it shrinks.
        meet_values(key);
        raise_maxima(width, vectors, factor, b);
      }
      ahead.fetch();
      weigh_group(group, factor, &draws, b, b.P.from(key / 2, 0));
    }
    meet_values(count);
  });
  write_rows(head, tile, args, scratch);
}

void forward_tiles(const Head& head, i64 begin, i64 end, const AttentionForward& args,
                   float* scratch) {
  for_tiles(head, begin, end, [&](const Tile& tile, const Tile& next) {
    forward_tile(head, tile, next, args, scratch);
  });
}

}  // namespace

const attention::Bf16ForwardKernels attention_bf16_forward_kernels = {
    kTileRows, thread_floats, copy_forward_keys, forward_tiles};

}  // namespace inlay::kernels::INLAY_ISA
