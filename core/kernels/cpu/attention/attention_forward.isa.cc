// SPDX-License-Identifier: Apache-2.0

// FlashAttention-2, Alg. 1, for one tile of query rows; attention_tile.h draws the layout.
//
//   for every block of keys:   S = K Qt                        (base 2: scale log2(e) Q K^T)
//                              m' = max(m, max over keys S), or m while that is near enough
//                              P = 2^(S - m'),  l = 2^(m - m') l + sum over keys P
//                              Ot = 2^(m - m') Ot + Vt P        (P after dropout, l before)
//   at the end:                O = Ot / l,  lse = ln 2 (m + log2 l)

#include "core/kernels/cpu/attention/attention_dropout.h"
#include "core/kernels/cpu/attention/attention_softmax.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

/// Vectors whose running maxima and sums stay in registers.
constexpr int kSoftmaxVectors = 3;

/// Scores of N vectors of rows become weights; m and l take the block in, and `shrink` is what the
/// sums gathered so far must be multiplied by. Returns whether that is anything but 1.
template <int N>
bool softmax_panel(i64 keys, float* scores, float* m, float* l, float* shrink) {
  Vec top[N], base[N], sum[N];
  for (int j = 0; j < N; ++j) {
    top[j] = Vec::set(-kInfinity);
  }
  for (i64 key = 0; key < keys; ++key) {
    for (int j = 0; j < N; ++j) {
      top[j] = max(top[j], Vec::load(scores + key * kTileRows + j * kLanes));
    }
  }
  Vec change = Vec::zero();
  for (int j = 0; j < N; ++j) {
    const Vec old = Vec::load(m + j * kLanes);
    const Vec now = select_less(old + Vec::set(kSlack), top[j], top[j], old);
    // -inf - -inf would be NaN; and before the first key there is nothing to shrink.
    base[j] = select_less(now, Vec::set(kLowest), Vec::zero(), now);
    const Vec factor = select_less(old, Vec::set(kLowest), Vec::set(1.0F), exp2(old - base[j]));
    change = max(change, Vec::set(1.0F) - factor);
    sum[j] = factor * Vec::load(l + j * kLanes);
    factor.store(shrink + j * kLanes);
    now.store(m + j * kLanes);
  }
  for (i64 key = 0; key < keys; ++key) {
    for (int j = 0; j < N; ++j) {
      float* s = scores + key * kTileRows + j * kLanes;
      const Vec weight = exp2(Vec::load(s) - base[j]);
      sum[j] = sum[j] + weight;
      weight.store(s);
    }
  }
  for (int j = 0; j < N; ++j) {
    sum[j].store(l + j * kLanes);
  }
  return reduce_max(change) > 0.0F;
}

bool softmax_block(i64 keys, i64 vectors, float* scores, float* m, float* l, float* shrink) {
  bool shrinks = false;
  i64 j = 0;
  for (; j + kSoftmaxVectors <= vectors; j += kSoftmaxVectors) {
    shrinks |= softmax_panel<kSoftmaxVectors>(keys, scores + j * kLanes, m + j * kLanes,
                                              l + j * kLanes, shrink + j * kLanes);
  }
  for (; j < vectors; ++j) {
    shrinks |= softmax_panel<1>(keys, scores + j * kLanes, m + j * kLanes, l + j * kLanes,
                                shrink + j * kLanes);
  }
  return shrinks;
}

void drop_weights(const TileDraws& draws, const Block& block, float* weights) {
  Vec keep[4];
  const i64 first = block.from * kLanes, last = (block.from + block.vectors) * kLanes;
  for (i64 key = 0; key < block.count; key += 4) {
    for (i64 j = first; j < last; j += kLanes) {
      draw_keep(draws, (block.begin + key) / 4, j, keep);
      for (i64 i = 0; i < 4 && key + i < block.count; ++i) {
        float* w = weights + (key + i) * kTileRows + j;
        (Vec::load(w) * keep[i]).store(w);
      }
    }
  }
}

void run_keys(const Head& head, const Tile& tile, KeyRange keys, const AttentionForward& args,
              float* state, float* scratch, const Ahead& tile_ahead) {
  const AttentionParams& params = *head.params;
  const i64 D = params.head_dim;
  float* Qt = scratch;
  float* S = Qt + D * kTileRows;
  float* m = state;
  float* l = m + kTileRows;
  float* Ot = l + kTileRows;
  alignas(64) float shrink[kTileRows];
  const TileMask mask = tile_mask(head, tile);
  const TileDraws draws = params.dropout > 0.0F ? tile_draws(head, tile) : TileDraws{};

  const float scale = score_scale(params);
  // Rounded first and scaled then, as the kernels of bf16 dot products have it: a scale is no power
  // of two, and bf16(scale q) would be other numbers than theirs.
  pack_transposed(args.q, tile_rows(head, tile, params.q_stride), D, head.rounds ? 1.0F : scale,
                  Qt);
  if (head.rounds) {
    round_to_bf16(D, kTileRows, scale, Qt, kTileRows);
  }
  for (i64 r = 0; r < kTileRows; ++r) {
    m[r] = -kInfinity;
    l[r] = 0.0F;
  }
  set_zero(D * kTileRows, Ot);
  KeyRows rows_of = key_rows(D, keys, 2);
  if (attention::head_tiles(head) == 1) {  // nobody has met the keys before: a decoder's cache
    rows_of.far = true;
    const i64 first = keys.end - keys.begin;
    fetch(rows_of(head.k + keys.begin * head.k_stride, head.k_stride,
                  first < attention::kBlockKeys ? first : attention::kBlockKeys));
  }
  for_each_block(head, tile, keys, [&](const Block& block) {
    const float* key = head.k + block.begin * head.k_stride;
    const float* value = head.v + block.begin * head.v_stride;
    const i64 count = block.count, vectors = block.vectors, row = block.from * kLanes;
    const i64 rest = keys.end - block.begin - count;
    product(count, vectors, D, {key, head.k_stride, 1}, Qt + row, kTileRows, S + row, kTileRows,
            false, {rows_of(value, head.v_stride, count), rest == 0 ? tile_ahead.first : Rows{}});
    if (params.softcap > 0.0F) {
      cap_scores(params, 1.0F, count, vectors, S + row);  // Qt carries scale / softcap
    }
    // After the cap, which would make -cap of the -inf.
    hide(tile, mask, block, -kInfinity, S);
    // l sums the weights before dropout: softmax divides by all of them, and only what meets V is
    // dropped.
    const bool shrinks = softmax_block(count, vectors, S + row, m + row, l + row, shrink + row);
    if (params.dropout > 0.0F) {
      drop_weights(draws, block, S);
    }
    if (head.rounds) {
      round_to_bf16(count, vectors * kLanes, 1.0F, S + row, kTileRows);
    }
    // Seldom: m follows the maximum only in steps of kSlack.
    if (shrinks) {
      scale_rows(D, vectors, shrink + row, Ot + row);
    }
    const Rows next_keys =
        rows_of(key + count * head.k_stride, head.k_stride, rest < count ? rest : count);
    product(D, vectors, count, {value, 1, head.v_stride}, S + row, kTileRows, Ot + row, kTileRows,
            true, {rest == 0 ? tile_ahead.second : next_keys, {}});
  });
}

void forward_keys(const Head& head, const Tile& tile, KeyRange keys, const AttentionForward& args,
                  float* state, float* scratch) {
  run_keys(head, tile, keys, args, state, scratch, {});
}

/// state = state + part, two running softmaxes of the same rows.
void join(i64 D, const float* part, float* state) {
  for (i64 j = 0; j < kTileRows; j += kLanes) {
    const Vec m0 = Vec::load(state + j), m1 = Vec::load(part + j);
    const Vec top = max(m0, m1);
    // -inf - -inf would be NaN, where no key of either part was seen.
    const Vec base = select_less(top, Vec::set(kLowest), Vec::zero(), top);
    const Vec factor0 = exp2(m0 - base), factor1 = exp2(m1 - base);
    top.store(state + j);
    for (i64 d = 1; d < D + 2; ++d) {  // l, then the rows of out
      float* x = state + d * kTileRows + j;
      fma(factor1, Vec::load(part + d * kTileRows + j), factor0 * Vec::load(x)).store(x);
    }
  }
}

void forward_finish(const Head& head, const Tile& tile, i64 parts, const AttentionForward& args,
                    float* states) {
  const AttentionParams& params = *head.params;
  const i64 D = params.head_dim;
  for (i64 p = 1; p < parts; ++p) {
    join(D, states + p * attention::state_floats(params), states);
  }
  write_rows(head, tile, args, states);
}

void forward_tiles(const Head& head, i64 begin, i64 end, const AttentionForward& args,
                   float* scratch) {
  const AttentionParams& params = *head.params;
  float* state =
      scratch + attention::forward_thread_floats(params) - attention::state_floats(params);
  for_tiles(head, begin, end, [&](const Tile& tile, const Tile& next) {
    run_keys(head, tile, tile.some, args, state, scratch,
             {tile_span(head, tile, args.o, params.o_stride),
              tile_span(head, next, args.q, params.q_stride)});
    forward_finish(head, tile, 1, args, state);
  });
}

void round_rows(i64 rows, i64 columns, const float* from, i64 from_stride, float* to,
                i64 to_stride) {
  for (i64 i = 0; i < rows; ++i) {
    __builtin_memcpy(to + i * to_stride, from + i * from_stride, columns * sizeof(float));
  }
  round_to_bf16(rows, columns, 1.0F, to, to_stride);
}

}  // namespace

const attention::ForwardKernels attention_forward_kernels = {round_rows, forward_tiles,
                                                             forward_keys, forward_finish};

}  // namespace inlay::kernels::INLAY_ISA
