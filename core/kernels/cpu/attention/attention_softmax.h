// SPDX-License-Identifier: Apache-2.0
#pragma once

// What the forward kernels do with scores and running sums besides their products.

#include "core/kernels/cpu/attention/attention_tile.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

/// m follows a row's maximum only when that has risen by more than this: weights up to 2^8 are as
/// good as weights up to 1, and hardly a block then makes the sums be rescaled.
constexpr float kSlack = 8.0F;

/// scores = cap tanh(factor scores), in base 2.
inline void cap_scores(const AttentionParams& params, float factor, i64 keys, i64 vectors,
                       float* scores) {
  const Vec cap = Vec::set(params.softcap * kLog2E);
  for (i64 key = 0; key < keys; ++key) {
    for (i64 j = 0; j < vectors * kLanes; j += kLanes) {
      float* s = scores + key * kTileRows + j;
      (cap * tanh(Vec::set(factor) * Vec::load(s))).store(s);
    }
  }
}

/// values[d][r] *= factor[r]
inline void scale_rows(i64 D, i64 vectors, const float* factor, float* values) {
  for (i64 j = 0; j < vectors * kLanes; j += kLanes) {
    const Vec f = Vec::load(factor + j);
    for (i64 d = 0; d < D; ++d) {
      float* x = values + d * kTileRows + j;
      (f * Vec::load(x)).store(x);
    }
  }
}

/// The rows of O and lse, from the state of a tile that has met all its keys.
inline void write_rows(const Head& head, const Tile& tile, const AttentionForward& args,
                       const float* state) {
  const AttentionParams& params = *head.params;
  const float* m = state;
  const float* l = m + kTileRows;
  const float* Ot = l + kTileRows;
  alignas(64) float inverse[kTileRows];
  for (i64 r = 0; r < kTileRows; ++r) {
    inverse[r] = l[r] == 0.0F ? 0.0F : 1.0F / l[r];
  }
  unpack_transposed(Ot, inverse, tile_rows(head, tile, params.o_stride), params.head_dim, args.o);
  for_each_row(head, tile, [&](i64 r, i64 query, i64 member) {
    args.lse[lse_index(head, args.total_q, query, member)] =
        l[r] == 0.0F ? kInfinity : kLn2 * (m[r] + __builtin_log2f(l[r]));
  });
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
