// SPDX-License-Identifier: Apache-2.0

// The backward pass of attention_backward.isa.cc with bf16 operands; attention_bf16.h draws their
// layout. P and dS of a strip of 32 keys are written as rows, for dV and dK, and dS once more as
// pairs of keys, for dQ, which waits for a whole block.

#include "core/kernels/cpu/attention/attention_amx.h"
#include "core/kernels/cpu/attention/attention_dropout.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

using attention::KeyGradients;

/// A thread's scratch memory.
struct DotBuffers {
  float *S, *dP;   // [kStripKeys, kTileRows]
  float* dQt;      // [D, kTileRows]
  float *dK, *dV;  // [kStripKeys, width]: sums of the strip that reaches beyond the last key
  Bf16Rows Q, dO;  // pairs of columns, [D / 2, kTileRows]
  Bf16Rows Q_rows, dO_rows;  // pairs of rows, [kTileRows / 2, width]
  Bf16Rows P, dS;            // rows, [kStripKeys, kTileRows]
  Bf16Rows dS_pairs;         // pairs of keys, [kBlockKeys / 2, kTileRows]
};

DotBuffers dot_buffers(i64 D, float* scratch) {
  const i64 depth = round_up(D, kDepth), width = round_up(D, kPad);
  DotBuffers b;
  ScratchParts parts(scratch);
  b.S = parts.floats(2 * kStripKeys * kTileRows);
  b.dP = parts.floats(2 * kStripKeys * kTileRows);
  b.dQt = parts.floats(width * kTileRows);
  b.dK = parts.floats(kStripKeys * width);
  b.dV = parts.floats(kStripKeys * width);
  b.Q = parts.words(depth / 2, 2 * kTileRows);
  b.dO = parts.words(depth / 2, 2 * kTileRows);
  b.Q_rows = parts.words(kTileRows / 2, 2 * width);
  b.dO_rows = parts.words(kTileRows / 2, 2 * width);
  b.P = parts.words(kStripKeys, kTileRows);
  b.dS = parts.words(kStripKeys, kTileRows);
  b.dS_pairs = parts.words(attention::kBlockKeys / 2, 2 * kTileRows);
  return b;
}

i64 thread_floats(const AttentionParams& params) {
  const i64 depth = round_up(params.head_dim, kDepth), width = round_up(params.head_dim, kPad);
  const i64 strip = 4 * kStripKeys + kStripKeys;  // S and dP, twice; P and dS in bf16
  return (strip + width + depth + width + attention::kBlockKeys / 2) * kTileRows +
         2 * kStripKeys * width;
}

/// S and dP of a strip become P o Z and scale dS, in bf16.
template <bool kSoftcap, bool kDropout>
void weight_gradients(const Head& head, const Block& block, const TileDraws* draws,
                      const RowSums& sums, const float* S, const float* dP,
                      const DotBuffers& buffers, Bf16Rows dS_pairs) {
  const AttentionParams& params = *head.params;
  const Vec factor = Vec::set(positive_scale(params)), scale = Vec::set(params.scale);
  const Vec cap = Vec::set(params.softcap * kLog2E);
  for (i64 j = block.from * kLanes; j < (block.from + block.vectors) * kLanes; j += 2 * kLanes) {
    Vec minus_lse[2], minus_delta[2];
    for (i64 v = 0; v < 2; ++v) {
      minus_lse[v] = Vec::zero() - Vec::load(sums.lse + j + v * kLanes);
      minus_delta[v] = Vec::zero() - scale * Vec::load(sums.delta + j + v * kLanes);
    }
    for (i64 key = 0; key < kStripKeys; key += 4) {
      Vec keep[2][4], ds[4][2];
      for (i64 v = 0; kDropout && v < 2; ++v) {
        draw_keep(*draws, (block.begin + key) / 4, j + v * kLanes, keep[v]);
      }
#pragma GCC unroll 4
      for (i64 i = 0; i < 4; ++i) {
        Vec p[2];
#pragma GCC unroll 2
        for (i64 v = 0; v < 2; ++v) {
          const i64 at = (key + i) * kTileRows + j + v * kLanes;
          const Vec s = Vec::load(S + at);
          const Vec t = kSoftcap ? tanh(factor * s) : s;
          p[v] = exp2(fma(kSoftcap ? cap : factor, t, minus_lse[v]));
          if (kSoftcap) {  // a hidden score is -inf, and its tanh only -1
            p[v] = select_less(s, Vec::set(kLowest), Vec::zero(), p[v]);
          }
          Vec dp = scale * Vec::load(dP + at);
          if (kDropout) {
            dp = dp * keep[v][i];
          }
          ds[i][v] = p[v] * (dp + minus_delta[v]);
          if (kSoftcap) {
            ds[i][v] = ds[i][v] * fma(Vec::zero() - t, t, Vec::set(1.0F));
          }
          if (kDropout) {
            p[v] = p[v] * keep[v][i];
          }
        }
        _mm512_storeu_si512(buffers.P.at(key + i, j), narrow(p[0], p[1]));
        _mm512_storeu_si512(buffers.dS.at(key + i, j), narrow(ds[i][0], ds[i][1]));
      }
      for (i64 v = 0; v < 2; ++v) {
        const i64 word = 2 * (j + v * kLanes);
        _mm512_storeu_si512(dS_pairs.at(key / 2, word), narrow_pairs(ds[0][v], ds[1][v]));
        _mm512_storeu_si512(dS_pairs.at(key / 2 + 1, word), narrow_pairs(ds[2][v], ds[3][v]));
      }
    }
  }
}

using WeightGradients = void (*)(const Head&, const Block&, const TileDraws*, const RowSums&,
                                 const float*, const float*, const DotBuffers&, Bf16Rows);

WeightGradients weight_gradients_for(const AttentionParams& params) {
  if (params.dropout > 0.0F) {
    return params.softcap > 0.0F ? weight_gradients<true, true> : weight_gradients<false, true>;
  }
  return params.softcap > 0.0F ? weight_gradients<true, false> : weight_gradients<false, false>;
}

/// dK and dV of a strip, where `keys` of its 32 exist.
void add_key_gradients(const Block& block, i64 keys, i64 width, const DotBuffers& b,
                       const KeyGradients& into) {
  const i64 row = block.from * kLanes, rows = block.vectors * kLanes;
  const bool whole = keys == kStripKeys;
  float* dv = into.dv + block.begin * into.dv_stride;
  float* dk = into.dk + block.begin * into.dk_stride;
  dots(kStripKeys, width, rows, b.P.from(0, row), b.dO_rows.from(row / 2, 0), whole ? dv : b.dV,
       whole ? into.dv_stride : width, whole);
  dots(kStripKeys, width, rows, b.dS.from(0, row), b.Q_rows.from(row / 2, 0), whole ? dk : b.dK,
       whole ? into.dk_stride : width, whole);
  if (whole) {
    return;
  }
  for (i64 key = 0; key < keys; ++key) {
    for (i64 d = 0; d < width; d += kLanes) {
      float* v = dv + key * into.dv_stride + d;
      float* k = dk + key * into.dk_stride + d;
      (Vec::load(v) + Vec::load(b.dV + key * width + d)).store(v);
      (Vec::load(k) + Vec::load(b.dK + key * width + d)).store(k);
    }
  }
}

void backward_tile(const Head& head, const Tile& tile, const Tile& next,
                   const AttentionBackward& args, KeyGradients& into, float* scratch) {
  const AttentionParams& params = *head.params;
  const i64 D = params.head_dim, depth = round_up(D, kDepth), width = round_up(D, kPad);
  const KeyCopies copies = key_copies(head, const_cast<u16*>(head.copies), true);
  const DotBuffers b = dot_buffers(D, scratch);
  const TileRows q_rows = tile_rows(head, tile, params.q_stride);
  const TileRows o_rows = tile_rows(head, tile, params.o_stride);
  const RowSums sums = row_sums(head, tile, args, o_rows);
  const TileMask mask = tile_mask(head, tile);
  const TileDraws draws = params.dropout > 0.0F ? tile_draws(head, tile) : TileDraws{};
  const WeightGradients gradients = weight_gradients_for(params);
  const RowEnds ends = row_ends(head, tile);

  pack_pairs_of_columns(args.q, q_rows, D, scale_sign(params), b.Q);
  pack_pairs_of_columns(args.dO, o_rows, D, 1.0F, b.dO);
  pack_pairs_of_rows(args.q, q_rows, D, b.Q_rows);
  pack_pairs_of_rows(args.dO, o_rows, D, b.dO_rows);
  set_zero(width * kTileRows, b.dQt);
  i64 base = tile.some.begin;  // the first key of dS_pairs
  const i64 strips = (tile.some.end - base + kStripKeys - 1) / kStripKeys;
  Fetcher ahead[4] = {{tile_span(head, tile, args.dq, params.q_stride), strips},
                      {tile_span(head, next, args.q, params.q_stride), strips},
                      {tile_span(head, next, args.o, params.o_stride), strips},
                      {tile_span(head, next, args.dO, params.o_stride), strips}};
  const auto score = [&](const Block& block, i64 strip) {
    const i64 row = block.from * kLanes, to = strip * kStripKeys * kTileRows + row;
    dots(kStripKeys, 2 * kLanes, depth, copies.k.from(block.begin, 0), b.Q.from(0, 2 * row),
         b.S + to, kTileRows, false);
    dots(kStripKeys, 2 * kLanes, depth, copies.v.from(block.begin, 0), b.dO.from(0, 2 * row),
         b.dP + to, kTileRows, false);
  };
  const auto meet = [&](const Block& block, i64 strip) {
    float* S = b.S + strip * kStripKeys * kTileRows;
    hide(tile, mask, block, -kInfinity, S);
    gradients(head, block, &draws, sums, S, b.dP + strip * kStripKeys * kTileRows, b,
              b.dS_pairs.from((block.begin - base) / 2, 0));
  };
  for_each_strip(tile, ends, score, meet, [&](i64 key, i64 first) {
    for (Fetcher& rows : ahead) {
      rows.fetch();
    }
    clear_vectors(first, b.dS_pairs.from((key - base) / 2, 0));
    const i64 keys = head.k_count - key < kStripKeys ? head.k_count - key : kStripKeys;
    start_sums(key + keys, width, into);
    add_key_gradients({key, kStripKeys, first, ends.vectors - first}, keys, width, b, into);
    const i64 end = key + kStripKeys;
    if (end - base == attention::kBlockKeys || end >= tile.some.end) {
      dots(width, ends.vectors * kLanes, end - base, copies.transposed.from(0, base), b.dS_pairs,
           b.dQt, kTileRows, true);
      base = end;
    }
  });
  unpack_transposed(b.dQt, 1.0F, q_rows, D, args.dq);
}

void backward_tiles(const Head& head, i64 begin, i64 end, const AttentionBackward& args,
                    KeyGradients into, float* scratch) {
  [[maybe_unused]] const TileRegisters registers;
  for_tiles(head, begin, end, [&](const Tile& tile, const Tile& next) {
    backward_tile(head, tile, next, args, into, scratch);
  });
}

}  // namespace

const attention::Bf16BackwardKernels attention_bf16_backward_kernels = {
    thread_floats, copy_backward_keys, backward_tiles};

}  // namespace inlay::kernels::INLAY_ISA
