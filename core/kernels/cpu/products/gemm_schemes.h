// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <span>

#include "core/kernels/cpu/products/gemm_bf16_kernels.h"
#include "core/kernels/cpu/products/gemm_kernels.h"
#include "core/kernels/cpu/products/gemm_pack.h"
#include "core/kernels/gemm.h"

// What the two loop nests of a product share: how the contraction is cut, and what becomes of the
// sums.
//
// Each product's K is cut into slices by its length alone. A product joins the last slice of the
// one before it where it is short, or where there is room in a slice for both. The pieces joined in
// this way are a chunk: within it the sum of an element is one chain of fma from 0, k upwards, and
// the chunks are added to C in turn. This is the order gemm.h promises, and everything else may be
// split in any way.
//
//   the product's K        |------ slice ------|------ slice ------|-- slice --|
//   an adapter's rank                                                           |-|
//   chunks                 |         0         |         1         |      2       |
namespace inlay::kernels {

// Three panels of B, each a slice x 48 floats, fill half an L2 of 2 MB. Longer slices spare reading
// and writing C.
inline constexpr i64 kMaxSlice = 1536;
// A sum over tokens (A runs across its rows) in f32 has shorter slices: few rows of results, as the
// factors of adapters have, can then be summed by several threads, each with some of the tokens.
inline constexpr i64 kTokenSlice = 512;
// Operands of 8 bits take a quarter of that room.
inline constexpr i64 kMaxInt8Slice = 3072;
// Slices are multiples of this, so as not to cut blocks of quantised weights.
inline constexpr i64 kSliceStep = 64;
// A product no longer than this joins the one before it, however full its slice: ranks of adapters.
inline constexpr i64 kShortProduct = 128;
/// So many products are one chain; behind them may stand some of which only a part is kept, each a
/// chain of its own that is added to the first.
inline constexpr i64 kMaxChained = 4;
inline constexpr i64 kMaxPieces = 8;

// The largest tile of all instruction sets.
inline constexpr i64 kMaxTileRows = 8;
inline constexpr i64 kMaxTileWidth = 48;

constexpr i64 ceil_div(i64 a, i64 b) {
  return (a + b - 1) / b;
}

constexpr i64 round_up(i64 a, i64 multiple) {
  return ceil_div(a, multiple) * multiple;
}

/// The length of the slices of K, of which the last may be shorter.
constexpr i64 slice_length(i64 K, i64 longest = kMaxSlice) {
  const i64 slices = std::max<i64>(1, ceil_div(K, longest));
  return std::max<i64>(1, std::min(K, round_up(ceil_div(K, slices), kSliceStep)));
}

/// Steps [k, k + K) of a product.
struct Piece {
  const GemmTerm* term;
  i64 k, K;
};

struct Chunk {
  Piece pieces[kMaxPieces];
  i64 count = 0;
  i64 K = 0;  // steps of all pieces together
  bool first = true;
  bool last = false;

  void add(const Piece& piece) {
    pieces[count++] = piece;
    K += piece.K;
  }
};

/// Runs body(chunk) for each chunk, in order; once, with an empty one, when there is nothing to
/// sum.
template <class Body>
void for_chunks(const GemmArgs& args, Body body, i64 longest_slice = kMaxSlice) {
  const bool int8 = args.compute == GemmCompute::kInt8;
  const i64 room = int8 ? kMaxInt8Slice : longest_slice;
  Chunk chunk;
  const auto finish = [&] {
    body(static_cast<const Chunk&>(chunk));
    chunk = Chunk();
    chunk.first = false;
  };
  const auto append = [&](const GemmTerm& term) {
    const bool fits = term.K <= kShortProduct || chunk.K + term.K <= room;
    const bool joins = fits && chunk.count < (term.kept == nullptr ? kMaxChained : kMaxPieces);
    if (!joins && chunk.K > 0) {
      finish();
    }
    const bool tokens = args.compute == GemmCompute::kF32 && term.a_col_stride != 1;
    const i64 length = slice_length(term.K, int8     ? kMaxInt8Slice
                                            : tokens ? std::min(kTokenSlice, longest_slice)
                                                     : longest_slice);
    for (i64 k = 0; k < term.K; k += length) {
      if (k > 0) {
        finish();
      }
      chunk.add({&term, k, std::min(length, term.K - k)});
    }
  };
  append(args);
  for (const GemmTerm& term : args.more) {
    append(term);
  }
  if (chunk.K > 0 || chunk.first) {
    chunk.last = true;
    finish();
  }
}

inline i64 count_chunks(const GemmArgs& args, i64 longest_slice = kMaxSlice) {
  i64 count = 0;
  for_chunks(
      args, [&](const Chunk&) { ++count; }, longest_slice);
  return count;
}

inline Chunk chunk_at(const GemmArgs& args, i64 index, i64 longest_slice = kMaxSlice) {
  Chunk found;
  i64 i = 0;
  for_chunks(
      args, [&](const Chunk& chunk) { found = i++ == index ? chunk : found; }, longest_slice);
  return found;
}

/// What becomes of the sums of a chunk from C(i, j) on: the first brings the bias and the addend,
/// the others are added to C. Where C is scaled, its sum must be whole before: all that comes after
/// the scale waits for the last chunk.
inline TileOutput chunk_output(const GemmArgs& args, const Chunk& chunk, i64 i, i64 j) {
  TileOutput out;
  if (args.c_bf16 != nullptr) {
    out.c_bf16 = args.c_bf16 + i * args.c_row_stride + j;
  } else {
    out.c = args.c + i * args.c_row_stride + j;
  }
  out.c_row_stride = args.c_row_stride;
  out.alpha = args.alpha;
  if (!chunk.first) {
    out.so_far = out.c;
    out.so_far_row_stride = args.c_row_stride;
  }
  if (args.scale != nullptr ? !chunk.last : !chunk.first) {
    return out;
  }
  if (args.scale != nullptr) {
    out.scale = args.scale + j;
    out.unscaled = args.unscaled != nullptr ? args.unscaled + i * args.N + j : nullptr;
    out.unscaled_bf16 =
        args.unscaled_bf16 != nullptr ? args.unscaled_bf16 + i * args.N + j : nullptr;
    out.unscaled_row_stride = args.N;
  }
  out.bias = args.bias != nullptr ? args.bias + j : nullptr;
  if (args.addend != nullptr) {
    out.addend = args.addend + i * args.addend_row_stride + j;
    out.addend_row_stride = args.addend_row_stride;
  }
  return out;
}

/// K and N of a product with m for its B.
struct Sides {
  i64 K, N;
};
inline Sides sides(const MatrixRef& m, bool b_transposed) {
  return b_transposed ? Sides{m.cols, m.rows} : Sides{m.rows, m.cols};
}

/// The panels of a product's B, if it has some for this arithmetic.
inline const float* panels_of(const GemmTerm& term, GemmCompute compute) {
  const PackedPanels* panels = term.b.panels;
  if (panels == nullptr || panels->compute != compute) {
    return nullptr;
  }
  return term.b_transposed ? panels->transposed : panels->straight;
}

/// Which elements of a product are added, from (i, j) on.
inline KeptBits kept_of(const GemmArgs& args, const GemmTerm& term, i64 i, i64 j) {
  return {term.kept, i * args.N + j, args.N};
}

/// Whether some product of the chunk is added in part only.
inline bool keeps_parts(const Chunk& chunk) {
  return std::any_of(chunk.pieces, chunk.pieces + chunk.count,
                     [](const Piece& piece) { return piece.term->kept != nullptr; });
}

/// Whether C is as large as an L2, so that it may be written past the caches.
bool can_stream(const GemmArgs& args);

/// A from row i and step k on.
inline TileA a_from(const GemmTerm& term, i64 i, i64 k) {
  return {term.a + i * term.a_row_stride + k * term.a_col_stride, term.a_row_stride,
          term.a_col_stride};
}

/// The part of a piece's B in the columns [n, n + N).
inline BPart b_part(const Piece& piece, i64 n, i64 N) {
  return {piece.term->b, piece.term->b_transposed, piece.k, piece.K, n, N};
}

/// Many rows: B packed once for many of them (gemm_blocked.cc).
i64 blocked_scratch(const GemmArgs& args);
void blocked_product(const GemmArgs& args, std::span<float> scratch);
i64 blocked_panels_floats(const MatrixRef& m, bool b_transposed);
void pack_blocked_panels(const MatrixRef& m, bool b_transposed, bool round, std::span<float> to);

/// The same for operands rounded to bf16, on processors that multiply them (gemm_bf16.cc). All
/// `outer` share_rows; every `inner` has_rows_of outer[0], and is computed before them: its C may
/// be an A of their short products. At most kProductsTogether of each.
inline constexpr i64 kProductsTogether = 8;
bool share_rows(const GemmArgs& first, const GemmArgs& other);
bool has_rows_of(const GemmArgs& outer, const GemmArgs& inner);
i64 bf16_scratch(std::span<const GemmArgs> inner, std::span<const GemmArgs> outer,
                 const GemmBf16& kernels);
void bf16_products(std::span<const GemmArgs> inner, std::span<const GemmArgs> outer,
                   const GemmBf16& kernels, std::span<float> scratch);
i64 bf16_panels_floats(const MatrixRef& m, bool b_transposed, const GemmBf16& kernels);
void pack_bf16_panels(const MatrixRef& m, bool b_transposed, const GemmBf16& kernels,
                      std::span<float> to);

/// The same for operands of 8 bits (gemm_int8.cc).
i64 int8_scratch(const GemmArgs& args);
void int8_product(const GemmArgs& args, std::span<float> scratch);

/// At most kFewRows rows: B goes past once (gemm_few_rows.cc).
inline constexpr i64 kFewRows = 32;
i64 few_rows_scratch(const GemmArgs& args);
void few_rows_product(const GemmArgs& args, std::span<float> scratch);

/// The same for very few rows and B stored [N, K], where the instruction set has kernels for it:
/// several products at once.
bool reads_stored_rows(const GemmArgs& args);
void stored_rows_products(std::span<const GemmArgs> products);

}  // namespace inlay::kernels
