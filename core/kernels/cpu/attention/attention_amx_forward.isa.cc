// SPDX-License-Identifier: Apache-2.0

// The forward pass of attention_forward.isa.cc with bf16 operands; attention_bf16.h draws their
// layout. Keys come in strips of 32: a strip's scores become weights while they are in the
// first-level cache, and the weights of a whole block meet V at once.

#include "core/kernels/cpu/attention/attention_amx.h"
#include "core/kernels/cpu/attention/attention_dropout.h"
#include "core/kernels/cpu/attention/attention_softmax.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

/// The running softmax of a tile, as state_floats() has it.
struct RunningSoftmax {
  float *m, *l, *Ot;
};

/// m takes in the scores of a strip, and shrink what the sums gathered so far must be multiplied
/// by. Returns whether that is anything but 1.
bool raise_maxima(const Block& block, float factor, const float* S, float* m, float* shrink) {
  Vec change = Vec::zero();
  for (i64 j = block.from * kLanes; j < (block.from + block.vectors) * kLanes; j += kLanes) {
    Vec top[4];
    for (Vec& t : top) {
      t = Vec::set(-kInfinity);
    }
    for (i64 key = 0; key < kStripKeys; key += 4) {
      for (i64 i = 0; i < 4; ++i) {
        top[i] = max(top[i], Vec::load(S + (key + i) * kTileRows + j));
      }
    }
    const Vec highest = Vec::set(factor) * max(max(top[0], top[1]), max(top[2], top[3]));
    const Vec old = Vec::load(m + j);
    const Vec now = select_less(old + Vec::set(kSlack), highest, highest, old);
    const Vec base = select_less(now, Vec::set(kLowest), Vec::zero(), now);
    // Before the first key there is nothing to shrink, and -inf - -inf would be NaN.
    const Vec ratio = select_less(old, Vec::set(kLowest), Vec::set(1.0F), exp2(old - base));
    change = max(change, Vec::set(1.0F) - ratio);
    ratio.store(shrink + j);
    now.store(m + j);
  }
  return reduce_max(change) > 0.0F;
}

/// Scores of a strip become pairs of weights, and l takes them in.
template <bool kDropout>
void weigh(const Block& block, float factor, const TileDraws* draws, const float* S,
           const RunningSoftmax& state, Bf16Rows weights) {
  const Vec scale = Vec::set(factor);
  for (i64 j = block.from * kLanes; j < (block.from + block.vectors) * kLanes; j += kLanes) {
    const Vec m = Vec::load(state.m + j);
    const Vec minus = Vec::zero() - select_less(m, Vec::set(kLowest), Vec::zero(), m);
    Vec sum = Vec::load(state.l + j), other = Vec::zero();
    for (i64 key = 0; key < kStripKeys; key += 4) {
      Vec keep[4], weight[4];
      if (kDropout) {
        draw_keep(*draws, (block.begin + key) / 4, j, keep);
      }
      for (i64 i = 0; i < 4; ++i) {
        weight[i] = exp2(fma(scale, Vec::load(S + (key + i) * kTileRows + j), minus));
      }
      sum = sum + (weight[0] + weight[1]);
      other = other + (weight[2] + weight[3]);
      for (i64 i = 0; kDropout && i < 4; ++i) {
        weight[i] = weight[i] * keep[i];
      }
      _mm512_storeu_si512(weights.at(key / 2, 2 * j), narrow_pairs(weight[0], weight[1]));
      _mm512_storeu_si512(weights.at(key / 2 + 1, 2 * j), narrow_pairs(weight[2], weight[3]));
    }
    (sum + other).store(state.l + j);
  }
}

i64 thread_floats(const AttentionParams& params) {
  const i64 depth = round_up(params.head_dim, kDepth), width = round_up(params.head_dim, kPad);
  return (2 + width + 2 * kStripKeys + 1 + depth / 2 + attention::kBlockKeys / 2) * kTileRows;
}

void forward_tile(const Head& head, const Tile& tile, const Tile& next,
                  const AttentionForward& args, float* scratch) {
  const AttentionParams& params = *head.params;
  const i64 D = params.head_dim, depth = round_up(D, kDepth), width = round_up(D, kPad);
  const KeyCopies copies = key_copies(head, const_cast<u16*>(head.copies), false);
  ScratchParts parts(scratch);
  RunningSoftmax state;
  state.m = parts.floats(kTileRows);
  state.l = parts.floats(kTileRows);
  state.Ot = parts.floats(width * kTileRows);
  float* S = parts.floats(2 * kStripKeys * kTileRows);
  float* shrink = parts.floats(kTileRows);
  const Bf16Rows Q = parts.words(depth / 2, 2 * kTileRows);
  const Bf16Rows P = parts.words(attention::kBlockKeys / 2, 2 * kTileRows);
  const TileMask mask = tile_mask(head, tile);
  const TileDraws draws = params.dropout > 0.0F ? tile_draws(head, tile) : TileDraws{};
  const RowEnds ends = row_ends(head, tile);
  const float factor = params.softcap > 0.0F ? 1.0F : positive_scale(params);
  const auto weigh_strip = params.dropout > 0.0F ? weigh<true> : weigh<false>;

  pack_pairs_of_columns(args.q, tile_rows(head, tile, params.q_stride), D, scale_sign(params), Q);
  for (i64 i = 0; i < kTileRows; ++i) {
    state.m[i] = -kInfinity;
    state.l[i] = 0.0F;
  }
  set_zero(width * kTileRows, state.Ot);
  // The keys before `met` have their weights in Ot, those behind in P, whose first is `base`.
  i64 base = tile.some.begin, met = base;
  const auto meet_values = [&](i64 end) {
    dots(width, ends.vectors * kLanes, end - met, copies.transposed.from(0, met),
         P.from((met - base) / 2, 0), state.Ot, kTileRows, true);
    met = end;
  };
  const i64 strips = (tile.some.end - base + kStripKeys - 1) / kStripKeys;
  Fetcher rows_of_o(tile_span(head, tile, args.o, params.o_stride), strips);
  Fetcher next_rows(tile_span(head, next, args.q, params.q_stride), strips);
  const auto score = [&](const Block& block, i64 strip) {
    const i64 row = block.from * kLanes;
    dots(kStripKeys, 2 * kLanes, depth, copies.k.from(block.begin, 0), Q.from(0, 2 * row),
         S + strip * kStripKeys * kTileRows + row, kTileRows, false);
  };
  const auto meet = [&](const Block& block, i64 strip) {
    float* scores = S + strip * kStripKeys * kTileRows;
    const i64 row = block.from * kLanes;
    if (params.softcap > 0.0F) {
      cap_scores(params, positive_scale(params), kStripKeys, block.vectors, scores + row);
    }
    hide(tile, mask, block, -kInfinity, scores);
    if (raise_maxima(block, factor, scores, state.m, shrink)) {
      meet_values(block.begin);
      for (i64 j = row; j < row + block.vectors * kLanes; j += kLanes) {
        (Vec::load(shrink + j) * Vec::load(state.l + j)).store(state.l + j);
      }
      scale_rows(D, block.vectors, shrink + row, state.Ot + row);
    }
    weigh_strip(block, factor, &draws, scores, state, P.from((block.begin - base) / 2, 0));
  };
  for_each_strip(tile, ends, score, meet, [&](i64 key, i64 first) {
    rows_of_o.fetch();
    next_rows.fetch();
    clear_vectors(first, P.from((key - base) / 2, 0));
    const i64 end = key + kStripKeys;
    if (end - base == attention::kBlockKeys || end >= tile.some.end) {
      meet_values(end);
      base = end;
    }
  });
  write_rows(head, tile, args, scratch);
}

void forward_tiles(const Head& head, i64 begin, i64 end, const AttentionForward& args,
                   float* scratch) {
  [[maybe_unused]] const TileRegisters registers;
  for_tiles(head, begin, end, [&](const Tile& tile, const Tile& next) {
    forward_tile(head, tile, next, args, scratch);
  });
}

}  // namespace

const attention::Bf16ForwardKernels attention_bf16_forward_kernels = {
    kTileRows, thread_floats, copy_forward_keys, forward_tiles};

}  // namespace inlay::kernels::INLAY_ISA
