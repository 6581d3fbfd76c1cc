// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/attention.h"
#include "core/kernels/cpu/isa/isa.h"
#include "core/types.h"

/// What attention.cc, which splits the work, and the .isa.cc files, which do it, agree on. The
/// functions are `static`: the linker must not keep the AVX-512 copy for everyone (isa.h).
namespace inlay::kernels::attention {

/// Query rows of a tile: 3 AVX-512 vectors. 8 keys x 3 vectors of sums fill 24 of the 32 registers.
constexpr i64 kTileRows = 48;
/// Where the products are those of AMX: whole tiles, two by two.
constexpr i64 kAmxRows = 96;
/// Keys a tile meets at a time: their scores (24 KB) stay in the first-level cache, and reading the
/// 48 x D sums back in costs 1/128 of the products that go into them.
constexpr i64 kBlockKeys = 128;
/// Rows of packed operands are padded to the widest vector.
constexpr i64 kPad = 16;

static inline i64 round_up(i64 x, i64 unit) {
  return (x + unit - 1) / unit * unit;
}

/// One key/value head of one segment, with the `group` query heads that read it: the problem that
/// is cut into tiles. Its rows are numbered r = query * group + head, so that the rows of a tile
/// share their keys whatever the group size is, and a single query still fills as many lanes as
/// there are heads.
struct Head {
  const AttentionParams* params = nullptr;
  i64 segment = 0;  // its index, for the dropout mask
  i64 kv_head = 0;
  i64 group = 1;       // query heads a KV head
  i64 first_head = 0;  // the first of them
  i64 q_begin = 0, q_count = 0;
  i64 k_begin = 0, k_count = 0;
  i64 tile_rows = kTileRows;
  bool dots = false;                       // products are dot products of bf16
  const u16* copies = nullptr;             // K and V in bf16, for dot products
  bool rounds = false;                     // operands of f32 products are rounded to bf16
  const float *k = nullptr, *v = nullptr;  // its first rows: of the tensors, or of rounded copies
  i64 k_stride = 0, v_stride = 0;
};

/// Keys [begin, end) of a segment.
struct KeyRange {
  i64 begin = 0, end = 0;
};

/// Rows [begin, begin + count) of a Head, count <= tile_rows, and the keys they see: every row sees
/// the keys in `all` (which may be empty), no row sees one outside `some`. `some` begins at a
/// multiple of 4, as dropout draws four keys at a time.
struct Tile {
  i64 begin = 0, count = 0;
  KeyRange some, all;
};

static inline i64 head_tiles(const Head& head) {
  return (head.q_count * head.group + head.tile_rows - 1) / head.tile_rows;
}

/// The keys query t sees: [begin, end), empty where end <= begin.
static inline KeyRange query_keys(const Head& head, i64 t) {
  const i64 position = t + head.k_count - head.q_count;  // aligned at the bottom right
  KeyRange keys = {0, head.k_count};
  if (head.params->causal) {
    keys.end = position + 1 < 0 ? 0 : position + 1;
  }
  if (head.params->window > 0 && position - head.params->window + 1 > 0) {
    keys.begin = position - head.params->window + 1;
  }
  return keys;
}

/// Both ends of query_keys() rise with t, so the first and the last query of a tile tell all.
static inline Tile head_tile(const Head& head, i64 index) {
  Tile tile;
  tile.begin = index * head.tile_rows;
  const i64 rows = head.q_count * head.group - tile.begin;
  tile.count = rows < head.tile_rows ? rows : head.tile_rows;
  const KeyRange first = query_keys(head, tile.begin / head.group);
  const KeyRange last = query_keys(head, (tile.begin + tile.count - 1) / head.group);
  tile.some = {first.begin / 4 * 4, last.end > first.begin ? last.end : first.begin / 4 * 4};
  tile.all = {last.begin, first.end};
  return tile;
}

/// The running softmax of a tile over the keys it has met, base 2: row r's greatest score m[r], its
/// sum l[r] of 2^(score - m), and out[d][r], the sum of 2^(score - m) V[key][d].
/// In memory: m [kTileRows], l [kTileRows], out [D, kTileRows].
static inline i64 state_floats(const AttentionParams& params) {
  return (params.head_dim + 2) * kTileRows;
}

/// Where a chunk of the backward pass adds up dK and dV: row c at dk + c * dk_stride. From row
/// `fresh` on they hold anything, and become 0 just before something is added.
struct KeyGradients {
  float* dk = nullptr;
  float* dv = nullptr;
  i64 dk_stride = 0, dv_stride = 0;
  i64 fresh = 0;
};

/// The kernels of one instruction set. `scratch` is one thread's, 64-byte aligned.
struct ForwardKernels {
  /// to[i][j] = from[i][j], rounded to bf16.
  void (*round_rows)(i64 rows, i64 columns, const float* from, i64 from_stride, float* to,
                     i64 to_stride);
  /// The rows of O and lse of tiles [begin, end).
  void (*tiles)(const Head& head, i64 begin, i64 end, const AttentionForward& args, float* scratch);
  /// state = the running softmax of a tile over `keys`, a part of tile.some.
  void (*keys)(const Head& head, const Tile& tile, KeyRange keys, const AttentionForward& args,
               float* state, float* scratch);
  /// Joins `parts` states that follow one another, in that order (into the first), and writes
  /// the rows of O and lse.
  void (*finish)(const Head& head, const Tile& tile, i64 parts, const AttentionForward& args,
                 float* states);
};
struct BackwardKernels {
  /// Tiles [begin, end): writes their rows of dQ, adds to dK and dV.
  void (*tiles)(const Head& head, i64 begin, i64 end, const AttentionBackward& args,
                KeyGradients into, float* scratch);
  /// to[i][j] += from[i][j]
  void (*add_rows)(i64 rows, i64 columns, const float* from, i64 from_stride, float* to,
                   i64 to_stride);
};

/// The same with bf16 operands, in tiles of `tile_rows`. Their products read copies of K and V
/// (Head::copies), which copy_keys() writes for a range of keys.
struct Bf16ForwardKernels {
  i64 tile_rows;
  i64 (*thread_floats)(const AttentionParams& params);
  void (*copy_keys)(const Head& head, KeyRange keys, const AttentionForward& args, u16* copies);
  void (*tiles)(const Head& head, i64 begin, i64 end, const AttentionForward& args, float* scratch);
};
struct Bf16BackwardKernels {
  i64 (*thread_floats)(const AttentionParams& params);
  void (*copy_keys)(const Head& head, KeyRange keys, const AttentionBackward& args, u16* copies);
  void (*tiles)(const Head& head, i64 begin, i64 end, const AttentionBackward& args,
                KeyGradients into, float* scratch);
};

/// Keys whose scores become bf16 weights at a time.
constexpr i64 kStripKeys = 32;

/// Keys of a copy: a strip may begin at any of them and must find zeros behind the last.
static inline i64 copied_keys(i64 k_count) {
  return round_up(k_count, kStripKeys) + kStripKeys;
}
/// Floats of memory that a head's copies take: K by rows, V by columns; backward K by rows, V by
/// rows, K by columns.
static inline i64 copy_floats(const AttentionParams& params, i64 k_count, bool backward) {
  const i64 rows = round_up(params.head_dim, kStripKeys), columns = round_up(params.head_dim, kPad);
  return copied_keys(k_count) * ((backward ? 2 : 1) * rows + columns) / 2;
}

/// Floats of scratch a thread needs.
static inline i64 forward_thread_floats(const AttentionParams& params) {
  return (params.head_dim + kBlockKeys) * kTileRows + state_floats(params);
}
static inline i64 backward_thread_floats(const AttentionParams& params) {
  const i64 D = params.head_dim;
  return (3 * D + 2 * round_up(D, kPad) + 2 * kBlockKeys) * kTileRows;
}

}  // namespace inlay::kernels::attention

namespace inlay::kernels {
INLAY_DECLARE_TABLES(attention::ForwardKernels, attention_forward_kernels)
INLAY_DECLARE_TABLES(attention::BackwardKernels, attention_backward_kernels)
INLAY_DECLARE_DOT_TABLES(attention::Bf16ForwardKernels, attention_bf16_forward_kernels)
INLAY_DECLARE_DOT_TABLES(attention::Bf16BackwardKernels, attention_bf16_backward_kernels)
}  // namespace inlay::kernels
