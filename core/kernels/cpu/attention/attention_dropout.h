// SPDX-License-Identifier: Apache-2.0
#pragma once

// Dropout of attention weights in the .isa.cc files: philox.h with a counter in every lane. Four
// keys of a row share a counter and take a word of it each, so a lane's four words serve four rows
// of a tile's weights.

#include "core/kernels/cpu/attention/attention_tile.h"
#include "core/kernels/cpu/isa/philox_lanes.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

/// What the counters of a tile's rows are made of (see AttentionParams::dropout_key), and what a
/// draw is compared with.
struct TileDraws {
  u64 key;
  Words segment, bound;
  Vec kept;
  u32 query[kTileRows], head[kTileRows];
};

inline TileDraws tile_draws(const Head& head, const Tile& tile) {
  const AttentionParams& params = *head.params;
  TileDraws draws = {};
  draws.key = params.dropout_key;
  draws.segment = Words::set(static_cast<u32>(head.segment));
  // word < dropout * 2^32 is the same comparison with the product rounded up to a whole number.
  draws.bound =
      Words::set(static_cast<u32>(__builtin_ceil(static_cast<double>(params.dropout) * 0x1p32)));
  draws.kept = Vec::set(1.0F / (1.0F - params.dropout));
  for_each_row(head, tile, [&](i64 r, i64 query, i64 member) {
    draws.query[r] = static_cast<u32>(query);
    draws.head[r] = static_cast<u32>(head.first_head + member);
  });
  return draws;
}

/// keep[i]: 1 / (1 - dropout) or 0 for key 4 * quad + i of the rows from r on.
inline void draw_keep(const TileDraws& draws, i64 quad, i64 r, Vec (&keep)[4]) {
  Words word[4] = {Words::set(static_cast<u32>(quad)), Words::load(draws.query + r), draws.segment,
                   Words::load(draws.head + r)};
  philox_rounds(draws.key, word);
  for (int i = 0; i < 4; ++i) {
    keep[i] = zero_below(word[i], draws.bound, draws.kept);
  }
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
