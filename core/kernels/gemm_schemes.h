// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>

#include "core/kernels/gemm.h"
#include "core/kernels/gemm_kernels.h"

// What the two loop nests of a product share: how K is cut, and what becomes of the sums.
//
// K is cut into chunks by its length alone. Within a chunk the sum of an element is one chain of
// fma from 0, k upwards, and the chunks are added to C in turn: this is the order gemm.h promises,
// and everything else may be split in any way.
namespace inlay::kernels {

// A panel of B, chunk x 48 floats, and two of them beside a block of A should fit an L2 of 1 MB, a
// panel of A, chunk x 8, the L1. Longer chunks spare reading and writing C.
inline constexpr i64 kMaxChunk = 768;
// Chunks are multiples of this, so as not to cut blocks of quantised weights.
inline constexpr i64 kChunkStep = 64;

// The largest tile of all instruction sets.
inline constexpr i64 kMaxTileRows = 8;
inline constexpr i64 kMaxTileWidth = 48;

constexpr i64 ceil_div(i64 a, i64 b) {
  return (a + b - 1) / b;
}

constexpr i64 round_up(i64 a, i64 multiple) {
  return ceil_div(a, multiple) * multiple;
}

/// The length of the chunks of K, of which the last may be shorter.
constexpr i64 chunk_length(i64 K) {
  const i64 chunks = std::max<i64>(1, ceil_div(K, kMaxChunk));
  return std::max<i64>(1, std::min(K, round_up(ceil_div(K, chunks), kChunkStep)));
}

/// Steps [k, k + K) of the contraction for the columns [n, n + N) of C.
struct Slab {
  i64 k, K;
  i64 n, N;
};

/// Runs body(slab) for each chunk of K, in order; once, with an empty one, when K = 0.
template <class Body>
void for_chunks(i64 K, i64 n, i64 N, Body body) {
  const i64 length = chunk_length(K);
  for (i64 k = 0; k == 0 || k < K; k += length) {
    body(Slab{k, std::min(length, K - k), n, N});
  }
}

/// What becomes of the sums of a chunk that starts at k, from C(i, j) on: the first brings the bias
/// and does as the caller wishes, the others are added.
inline TileOutput chunk_output(const GemmArgs& args, i64 k, i64 i, i64 j) {
  const bool first = k == 0;
  TileOutput out;
  out.c = args.c + i * args.c_row_stride + j;
  out.c_row_stride = args.c_row_stride;
  out.alpha = args.alpha;
  out.bias = first && args.bias != nullptr ? args.bias + j : nullptr;
  out.accumulate = args.accumulate || !first;
  return out;
}

/// A from row i and step k on.
inline TileA a_from(const GemmArgs& args, i64 i, i64 k) {
  return {args.a + i * args.a_row_stride + k * args.a_col_stride, args.a_row_stride,
          args.a_col_stride};
}

/// Many rows: B packed once for all of them (gemm_blocked.cc).
i64 blocked_scratch(const GemmArgs& args);
void blocked_product(const GemmArgs& args, std::span<float> scratch);

/// At most kFewRows rows: B goes past once (gemm_few_rows.cc). Needs no scratch.
inline constexpr i64 kFewRows = 32;
void few_rows_product(const GemmArgs& args);

}  // namespace inlay::kernels
