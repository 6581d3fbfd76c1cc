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

#include "core/kernels/attention_tile.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

using attention::KeyGradients;

/// What a row brings besides Q and dO: lse in base 2, and rowsum(dO o O).
struct RowSums {
  alignas(64) float lse[kTileRows];
  alignas(64) float delta[kTileRows];
};

RowSums row_sums(const Head& head, const Tile& tile, const AttentionBackward& args,
                 const TileRows& rows) {
  const i64 D = head.params->head_dim;
  RowSums sums;
  for (i64 r = 0; r < kTileRows; ++r) {  // 2^(S - inf) = 0: no weight behind the last row
    sums.lse[r] = kInfinity;
    sums.delta[r] = 0.0F;
  }
  i64 query = tile.begin / head.group;
  i64 member = tile.begin % head.group;
  for (i64 r = 0; r < tile.count; ++r) {
    sums.lse[r] =
        kLog2E * args.lse[(head.first_head + member) * args.total_q + head.q_begin + query];
    Vec sum = Vec::zero();
    for (i64 d = 0; d < D; d += kLanes) {
      const i64 width = D - d < kLanes ? D - d : kLanes;
      sum = fma(Vec::load(args.dO + rows.offset[r] + d, width),
                Vec::load(args.o + rows.offset[r] + d, width), sum);
    }
    sums.delta[r] = reduce_add(sum);
    if (++member == head.group) {
      member = 0;
      ++query;
    }
  }
  return sums;
}

/// S becomes the weights that met V (P o Z), dP becomes dS. Four keys at a time, as dropout draws
/// them.
template <bool kSoftcap, bool kDropout>
void score_gradients(const Head& head, const TileDraws& draws, const RowSums& sums, i64 first_key,
                     i64 keys, i64 vectors, float* S, float* dP) {
  const Vec cap = Vec::set(head.params->softcap * kLog2E);
  float keep[4][kLanes];
  for (i64 key = 0; key < keys; key += 4) {
    const i64 quad = keys - key < 4 ? keys - key : 4;
    for (i64 j = 0; j < vectors * kLanes; j += kLanes) {
      if (kDropout) {
        draw_keep(head, draws, (first_key + key) / 4, j, keep);
      }
      const Vec lse = Vec::load(sums.lse + j);
      const Vec delta = Vec::load(sums.delta + j);
      for (i64 i = 0; i < quad; ++i) {
        float* s = S + (key + i) * kTileRows + j;
        float* dp = dP + (key + i) * kTileRows + j;
        const Vec t = kSoftcap ? tanh(Vec::load(s)) : Vec::load(s);
        const Vec z = kDropout ? Vec::load(keep[i]) : Vec::set(1.0F);
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

using ScoreGradients = void (*)(const Head&, const TileDraws&, const RowSums&, i64, i64, i64,
                                float*, float*);

ScoreGradients score_gradients_for(const AttentionParams& params) {
  if (params.dropout > 0.0F) {
    return params.softcap > 0.0F ? score_gradients<true, true> : score_gradients<false, true>;
  }
  return params.softcap > 0.0F ? score_gradients<true, false> : score_gradients<false, false>;
}

void backward_tile(const Head& head, const Tile& tile, const Tile& next,
                   const AttentionBackward& args, const KeyGradients& into, float* scratch) {
  const AttentionParams& params = *head.params;
  const i64 D = params.head_dim;
  const i64 padded = attention::round_up(D, attention::kPad);
  const i64 vectors = (tile.count + kLanes - 1) / kLanes;
  const i64 columns = (D + kLanes - 1) / kLanes;
  const float* K = args.k + head.k_begin * params.k_stride + head.kv_head * D;
  const float* V = args.v + head.k_begin * params.v_stride + head.kv_head * D;
  float* Qt = scratch;
  float* dOt = Qt + D * kTileRows;
  float* dQt = dOt + D * kTileRows;
  float* Q = dQt + D * kTileRows;
  float* dO = Q + padded * kTileRows;
  float* S = dO + padded * kTileRows;
  float* dP = S + attention::kBlockKeys * kTileRows;

  const TileRows q_rows = tile_rows(head, tile, params.q_stride);
  const TileRows o_rows = tile_rows(head, tile, params.o_stride);
  const RowSums sums = row_sums(head, tile, args, o_rows);
  const TileMask mask = tile_mask(head, tile);
  const TileDraws draws = params.dropout > 0.0F ? tile_draws(head, tile) : TileDraws{};
  const ScoreGradients gradients = score_gradients_for(params);
  pack_transposed(args.q, q_rows, D, score_scale(params), Qt);
  pack_transposed(args.dO, o_rows, D, 1.0F, dOt);
  pack_rows(args.q, q_rows, D, params.scale, Q, padded);
  pack_rows(args.dO, o_rows, D, 1.0F, dO, padded);

  for (i64 i = 0; i < D * kTileRows; ++i) {
    dQt[i] = 0.0F;
  }
  const Rows own_dq = tile_span(head, tile, args.dq, params.q_stride);
  const Rows next_q = tile_span(head, next, args.q, params.q_stride);
  const Rows next_o = tile_span(head, next, args.o, params.o_stride);
  const Rows next_dO = tile_span(head, next, args.dO, params.o_stride);
  for_each_block(tile.some, [&](i64 k, i64 count) {
    const float* key = K + k * params.k_stride;
    const float* value = V + k * params.v_stride;
    const bool last = k + count == tile.some.end;
    float* dv = into.dv + k * into.dv_stride;
    float* dk = into.dk + k * into.dk_stride;
    product(count, vectors, D, {key, params.k_stride, 1}, Qt, kTileRows, S, kTileRows, false,
            {{value, params.v_stride, count, D}, last ? own_dq : Rows{}});
    product(count, vectors, D, {value, params.v_stride, 1}, dOt, kTileRows, dP, kTileRows, false,
            {{dv, into.dv_stride, count, D}, last ? next_q : Rows{}});
    gradients(head, draws, sums, k, count, vectors, S, dP);
    hide(tile, mask, k, count, vectors, 0.0F, S);
    hide(tile, mask, k, count, vectors, 0.0F, dP);
    product(count, columns, tile.count, {S, kTileRows, 1}, dO, padded, dv, into.dv_stride, true,
            {{dk, into.dk_stride, count, D}, last ? next_o : Rows{}});
    product(count, columns, tile.count, {dP, kTileRows, 1}, Q, padded, dk, into.dk_stride, true,
            {last ? next_dO : Rows{key + count * params.k_stride, params.k_stride, count, D}, {}});
    product(D, vectors, count, {key, 1, params.k_stride}, dP, kTileRows, dQt, kTileRows, true);
  });
  alignas(64) float scale[kTileRows];
  for (float& s : scale) {
    s = params.scale;
  }
  unpack_transposed(dQt, scale, q_rows, D, args.dq);
}

void backward_tiles(const Head& head, i64 begin, i64 end, const AttentionBackward& args,
                    const KeyGradients& into, float* scratch) {
  for (i64 t = begin; t < end; ++t) {
    const Tile tile = attention::head_tile(head, t);
    const Tile next = attention::head_tile(head, t + 1 < end ? t + 1 : t);
    backward_tile(head, tile, next, args, into, scratch);
  }
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
