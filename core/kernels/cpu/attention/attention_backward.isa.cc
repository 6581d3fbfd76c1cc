// SPDX-License-Identifier: Apache-2.0

// FlashAttention-2, Alg. 2, for one tile of query rows; attention_tile.h draws the layout.
//
//   D = rowsum(dO o O)                                          one number a row
//   for every block of keys:   S = K Qt,  dP = V dOt
//                              P = 2^(S - lse log2(e)),  dS = P o (Z o dP - D)
//                              dV += (P o Z) dO,  dK += scale dS Q,  dQt += Kt dS
//   at the end:                dQ = scale dQt, transposed
//
// Z is the dropout mask, 1 / (1 - dropout) or 0. With a softcap S = cap tanh(x), and dS gets the
// factor 1 - tanh^2(x).

#include "core/kernels/cpu/attention/attention_dropout.h"
#include "core/kernels/cpu/attention/attention_tile.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

using attention::KeyGradients;

/// S becomes the weights that met V (P o Z), dP becomes dS. Four keys at a time, as dropout draws
/// them.
template <bool kSoftcap, bool kDropout>
void score_gradients(const Head& head, const TileDraws& draws, const RowSums& sums,
                     const Block& block, float* S, float* dP) {
  const i64 first = block.from * kLanes, last = (block.from + block.vectors) * kLanes;
  const Vec cap = Vec::set(head.params->softcap * kLog2E);
  Vec keep[4];
  for (i64 key = 0; key < block.count; key += 4) {
    const i64 quad = block.count - key < 4 ? block.count - key : 4;
    for (i64 j = first; j < last; j += kLanes) {
      if (kDropout) {
        draw_keep(draws, (block.begin + key) / 4, j, keep);
      }
      const Vec lse = Vec::load(sums.lse + j);
      const Vec delta = Vec::load(sums.delta + j);
      for (i64 i = 0; i < quad; ++i) {
        float* s = S + (key + i) * kTileRows + j;
        float* dp = dP + (key + i) * kTileRows + j;
        const Vec t = kSoftcap ? tanh(Vec::load(s)) : Vec::load(s);
        const Vec z = kDropout ? keep[i] : Vec::set(1.0F);
        const Vec p = exp2((kSoftcap ? cap * t : t) - lse);
        Vec ds = p * (kDropout ? fma(z, Vec::load(dp), -delta) : Vec::load(dp) - delta);
        if (kSoftcap) {
          ds = ds * fma(-t, t, Vec::set(1.0F));
        }
        (kDropout ? z * p : p).store(s);
        ds.store(dp);
      }
    }
  }
}

using ScoreGradients = void (*)(const Head&, const TileDraws&, const RowSums&, const Block&, float*,
                                float*);

ScoreGradients score_gradients_for(const AttentionParams& params) {
  if (params.dropout > 0.0F) {
    return params.softcap > 0.0F ? score_gradients<true, true> : score_gradients<false, true>;
  }
  return params.softcap > 0.0F ? score_gradients<true, false> : score_gradients<false, false>;
}

/// The tile's share of a thread's scratch memory; Qt carries score_scale(), Q carries scale.
struct Packed {
  i64 stride;             // of the rows of Q and dO
  float *Qt, *dOt, *dQt;  // [D, kTileRows]
  float *Q, *dO;          // [kTileRows, stride]
  float *S, *dP;          // [kBlockKeys, kTileRows]
};

Packed pack(const AttentionParams& params, bool rounds, const AttentionBackward& args,
            const TileRows& q_rows, const TileRows& o_rows, float* scratch) {
  const i64 D = params.head_dim;
  Packed p;
  p.stride = attention::round_up(D, attention::kPad);
  p.Qt = scratch;
  p.dOt = p.Qt + D * kTileRows;
  p.dQt = p.dOt + D * kTileRows;
  p.Q = p.dQt + D * kTileRows;
  p.dO = p.Q + p.stride * kTileRows;
  p.S = p.dO + p.stride * kTileRows;
  p.dP = p.S + attention::kBlockKeys * kTileRows;
  pack_transposed(args.q, q_rows, D, rounds ? 1.0F : score_scale(params), p.Qt);
  pack_transposed(args.dO, o_rows, D, 1.0F, p.dOt);
  pack_rows(args.q, q_rows, D, rounds ? 1.0F : params.scale, p.Q, p.stride);
  pack_rows(args.dO, o_rows, D, 1.0F, p.dO, p.stride);
  if (rounds) {
    round_to_bf16(D, kTileRows, score_scale(params), p.Qt, kTileRows);
    round_to_bf16(D, kTileRows, 1.0F, p.dOt, kTileRows);
    round_to_bf16(q_rows.count, p.stride, params.scale, p.Q, p.stride);
    round_to_bf16(q_rows.count, p.stride, 1.0F, p.dO, p.stride);
  }
  set_zero(D * kTileRows, p.dQt);
  return p;
}

/// One tile; `next` is the one that will follow.
void backward_tile(const Head& head, const Tile& tile, const Tile& next,
                   const AttentionBackward& args, KeyGradients& into, float* scratch) {
  const AttentionParams& params = *head.params;
  const i64 D = params.head_dim;
  const i64 columns = (D + kLanes - 1) / kLanes;
  const TileRows q_rows = tile_rows(head, tile, params.q_stride);
  const TileRows o_rows = tile_rows(head, tile, params.o_stride);
  const RowSums sums = row_sums(head, tile, args, o_rows);
  const TileMask mask = tile_mask(head, tile);
  const TileDraws draws = params.dropout > 0.0F ? tile_draws(head, tile) : TileDraws{};
  const ScoreGradients gradients = score_gradients_for(params);
  const Packed p = pack(params, head.rounds, args, q_rows, o_rows, scratch);

  const KeyRows rows_of = key_rows(D, tile.some, 4);
  for_each_block(head, tile, tile.some, [&](const Block& block) {
    const i64 k = block.begin, count = block.count, vectors = block.vectors;
    const i64 row = block.from * kLanes, rows = tile.count - row;
    const Broadcast key = {head.k + k * head.k_stride, head.k_stride, 1};
    const Broadcast value = {head.v + k * head.v_stride, head.v_stride, 1};
    start_sums(k + count, p.stride, into);
    float* dk = into.dk + k * into.dk_stride;
    float* dv = into.dv + k * into.dv_stride;
    const i64 rest = tile.some.end - k - count;
    // In the last block the rows of this tile's dQ and of the next tile are asked for.
    const auto at_last = [&](const Tile& t, const float* base, i64 stride) {
      return rest == 0 ? tile_span(head, t, base, stride) : Rows{};
    };
    product(count, vectors, D, key, p.Qt + row, kTileRows, p.S + row, kTileRows, false,
            {rows_of(value.data, value.row, count), at_last(tile, args.dq, params.q_stride)});
    product(count, vectors, D, value, p.dOt + row, kTileRows, p.dP + row, kTileRows, false,
            {rows_of(dv, into.dv_stride, count), at_last(next, args.q, params.q_stride)});
    gradients(head, draws, sums, block, p.S, p.dP);
    // Hidden pairs become 0 once all is computed, whatever came out for them (2^(S - lse) may
    // overflow): they are few, and the arithmetic needs no branch.
    hide(tile, mask, block, 0.0F, p.S);
    hide(tile, mask, block, 0.0F, p.dP);
    if (head.rounds) {
      round_to_bf16(count, vectors * kLanes, 1.0F, p.S + row, kTileRows);
      round_to_bf16(count, vectors * kLanes, 1.0F, p.dP + row, kTileRows);
    }
    product(count, columns, rows, {p.S + row, kTileRows, 1}, p.dO + row * p.stride, p.stride, dv,
            into.dv_stride, true,
            {rows_of(dk, into.dk_stride, count), at_last(next, args.o, params.o_stride)});
    product(count, columns, rows, {p.dP + row, kTileRows, 1}, p.Q + row * p.stride, p.stride, dk,
            into.dk_stride, true,
            {rows_of(key.data + count * key.row, key.row, rest < count ? rest : count),
             at_last(next, args.dO, params.o_stride)});
    product(D, vectors, count, {key.data, 1, key.row}, p.dP + row, kTileRows, p.dQt + row,
            kTileRows, true);
  });
  unpack_transposed(p.dQt, params.scale, q_rows, D, args.dq);
}

void backward_tiles(const Head& head, i64 begin, i64 end, const AttentionBackward& args,
                    KeyGradients into, float* scratch) {
  for_tiles(head, begin, end, [&](const Tile& tile, const Tile& next) {
    backward_tile(head, tile, next, args, into, scratch);
  });
}

void add_rows(i64 rows, i64 columns, const float* from, i64 from_stride, float* to, i64 to_stride) {
  for (i64 i = 0; i < rows; ++i) {
    for (i64 j = 0; j < columns; j += kLanes) {
      const i64 n = columns - j < kLanes ? columns - j : kLanes;
      float* x = to + i * to_stride + j;
      (Vec::load(x, n) + Vec::load(from + i * from_stride + j, n)).store(x, n);
    }
  }
}

}  // namespace

const attention::BackwardKernels attention_backward_kernels = {backward_tiles, add_rows};

}  // namespace inlay::kernels::INLAY_ISA
