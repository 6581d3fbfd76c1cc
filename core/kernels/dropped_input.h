// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

/// Low-rank products whose input is dropped out: no dropped copy of x is ever stored, only which
/// values were kept, a bit each.
namespace inlay::kernels {

/// Words for the bits of `values` values, with room behind for reading past the end.
constexpr i64 kept_words(i64 values) {
  return (values + 63) / 64 * 2 + 2;
}
/// Bit i % 32 of word i / 32 of `kept` [kept_words(values)]: value i is kept, unless it is dropped
/// with probability `dropout`, as `dropout` (elementwise.h) does it for the same key.
struct KeptDraw {
  float dropout = 0.0F;
  u64 key = 0;
  u32* kept = nullptr;
};
/// Draws all of them, for as many values each.
void draw_kept(i64 values, std::span<const KeptDraw> draws);

/// x [rows, columns], f32 or bf16 (then x is null), contiguous.
struct DroppedInput {
  const float* x = nullptr;
  const u16* x_bf16 = nullptr;
  i64 rows = 0, columns = 0;
};

/// The factor A [rank, columns] of one update, which multiplies what is kept of x, the values
/// counted row by row.
struct DroppedFactor {
  const float* a = nullptr;
  i64 rank = 0;
  i64 first = 0;  // its columns of t and of u are [first, first + rank)
  float scale = 1.0F;
  const u32* kept = nullptr;  // of draw_kept
};

/// t_j = scale_j kept_j(x) A_j^T for each factor, to its columns of t [rows, t_columns]; f32
/// arithmetic. Every value is summed in an order that depends on `columns` alone. (Where products
/// take bf16 operands they do this themselves: GemmTerm::a_kept.)
void dropped_products(const DroppedInput& input, std::span<const DroppedFactor> factors, float* t,
                      i64 t_columns);

/// dA_j = u_j^T kept_j(x), to rows [first_j, first_j + rank_j) of dA [u_columns, columns]; neither A
/// nor `scale` is read. f32 arithmetic; sums over rows in an order that depends on the shape alone.
i64 dropped_outer_products_scratch(const DroppedInput& input, i64 u_columns);
void dropped_outer_products(const DroppedInput& input, std::span<const DroppedFactor> factors,
                            const float* u, i64 u_columns, float* dA, std::span<float> scratch);

}  // namespace inlay::kernels
