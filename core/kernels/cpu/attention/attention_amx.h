// SPDX-License-Identifier: Apache-2.0
#pragma once

// The products of attention_bf16.h in AMX tiles, and the order the strips of keys come in that
// keeps both the tiles and the vector units busy.

#include "core/kernels/cpu/attention/attention_bf16.h"
#include "core/kernels/cpu/isa/amx.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

using attention::kStripKeys;

constexpr i64 kTileSide = 16;

/// M x N tiles of C, at most 2 x 2: four sums, two tiles of A, two of B.
template <int M, int N>
void dots_block(Bf16Rows a, Bf16Rows b, i64 depth, float* c, i64 c_stride, bool add) {
  const i64 a_bytes = a.stride * 2, b_bytes = b.stride * 2, c_bytes = c_stride * 4;
  float* below = c + kTileSide * c_stride;
  finish_stores();
  if (add) {
    _tile_loadd(0, c, c_bytes);
    if constexpr (N > 1) _tile_loadd(1, c + kTileSide, c_bytes);
    if constexpr (M > 1) _tile_loadd(2, below, c_bytes);
    if constexpr (M > 1 && N > 1) _tile_loadd(3, below + kTileSide, c_bytes);
  } else {
    _tile_zero(0);
    _tile_zero(1);
    _tile_zero(2);
    _tile_zero(3);
  }
  for (i64 k = 0; k < depth; k += kDepth) {
    const u16* left = a.at(0, k);
    const u16* right = b.at(k / 2, 0);
    _tile_loadd(4, left, a_bytes);
    _tile_loadd(6, right, b_bytes);
    _tile_dpbf16ps(0, 4, 6);
    if constexpr (N > 1) {
      _tile_loadd(7, right + 2 * kTileSide, b_bytes);
      _tile_dpbf16ps(1, 4, 7);
    }
    if constexpr (M > 1) {
      _tile_loadd(5, left + kTileSide * a.stride, a_bytes);
      _tile_dpbf16ps(2, 5, 6);
    }
    if constexpr (M > 1 && N > 1) _tile_dpbf16ps(3, 5, 7);
  }
  _tile_stored(0, c, c_bytes);
  if constexpr (N > 1) _tile_stored(1, c + kTileSide, c_bytes);
  if constexpr (M > 1) _tile_stored(2, below, c_bytes);
  if constexpr (M > 1 && N > 1) _tile_stored(3, below + kTileSide, c_bytes);
}

/// c[rows][columns] = or += a[rows][depth] b[depth][columns], in whole tiles.
void dots(i64 rows, i64 columns, i64 depth, Bf16Rows a, Bf16Rows b, float* c, i64 c_stride,
          bool add) {
  for (i64 i = 0; i < rows; i += 2 * kTileSide) {
    // Two rows of tiles by two columns: each tile of A and of B that is loaded serves two products.
    const Bf16Rows left = a.from(i, 0);
    const bool two = i + kTileSide < rows;
    i64 j = 0;
    for (; j + 2 * kTileSide <= columns; j += 2 * kTileSide) {
      const auto block = two ? dots_block<2, 2> : dots_block<1, 2>;
      block(left, b.from(0, 2 * j), depth, c + i * c_stride + j, c_stride, add);
    }
    if (j < columns) {
      const auto block = two ? dots_block<2, 1> : dots_block<1, 1>;
      block(left, b.from(0, 2 * j), depth, c + i * c_stride + j, c_stride, add);
    }
  }
}

/// Where the keys of every 32 rows of a tile end: a strip of keys spends no time on rows behind the
/// diagonal.
struct RowEnds {
  i64 end[kTileRows / kDepth];
  i64 vectors;  // of the tile, in pairs
};

inline RowEnds row_ends(const Head& head, const Tile& tile) {
  RowEnds ends = {};
  ends.vectors = round_up(tile.count, kDepth) / kLanes;
  for (i64 row = 0; row < tile.count; row += kDepth) {
    const i64 last = (tile.count - row < kDepth ? tile.count : row + kDepth) - 1;
    ends.end[row / kDepth] = attention::query_keys(head, (tile.begin + last) / head.group).end;
  }
  return ends;
}

/// The first two vectors that see one of a strip's keys; all behind them do.
inline i64 first_vector(const RowEnds& ends, i64 key) {
  i64 from = 0;
  // Ends only rise with the rows, so the first pair that sees the key begins all that do.
  while (from + 2 < ends.vectors && ends.end[from / 2] <= key) {
    from += 2;
  }
  return from;
}

/// Calls score(block, strip) and then meet(block, strip) for every strip of keys and every two
/// vectors that meet it, and finish(first key, first vector) behind each strip. `strip` is 0 or 1,
/// in turn. The products that make the scores run one block ahead: they take their time while the
/// vector units work on the block before.
template <class Score, class Meet, class Finish>
inline void for_each_strip(const Tile& tile, const RowEnds& ends, Score score, Meet meet,
                           Finish finish) {
  const KeyRange keys = tile.some;
  if (keys.begin == keys.end) {
    return;
  }
  const auto at = [](i64 key, i64 from) { return Block{key, kStripKeys, from, 2}; };
  score(at(keys.begin, first_vector(ends, keys.begin)), 0);
  i64 strip = 0;
  for (i64 key = keys.begin; key < keys.end; key += kStripKeys) {
    const i64 first = first_vector(ends, key), next = key + kStripKeys;
    for (i64 from = first; from < ends.vectors; from += 2) {
      if (from + 2 < ends.vectors) {
        score(at(key, from + 2), strip);
      } else if (next < keys.end) {
        score(at(next, first_vector(ends, next)), 1 - strip);
      }
      meet(at(key, from), strip);
    }
    finish(key, first);
    strip = 1 - strip;
  }
}

/// pairs[kStripKeys / 2][vectors before `from`] = 0
inline void clear_vectors(i64 from, Bf16Rows pairs) {
  for (i64 j = 0; j < from * kLanes; j += kLanes) {
    for (i64 key = 0; key < kStripKeys; key += 2) {
      _mm512_storeu_si512(pairs.at(key / 2, 2 * j), _mm512_setzero_si512());
    }
  }
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
