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
/// Bit i % 32 of word i / 32: value i is kept, unless it is dropped with probability `dropout`, as
/// `dropout` (elementwise.h) does it for the same key. [kept_words(values)]
void draw_kept(i64 values, float dropout, u64 key, u32* kept);

/// x [rows, columns], f32 or bf16 (then x is null), contiguous.
struct DroppedInput {
  const float* x = nullptr;
  const u16* x_bf16 = nullptr;
  i64 rows = 0, columns = 0;
};

/// The factor A [rank, columns] of one update, which multiplies drop(x): value i of x, counted row
/// by row, becomes x_i / (1 - dropout) if it is kept, else 0.
struct DroppedFactor {
  const float* a = nullptr;
  i64 rank = 0;
  i64 first = 0;  // its columns of t and of u are [first, first + rank)
  float scale = 1.0F;
  float dropout = 0.0F;
  const u32* kept = nullptr;  // of draw_kept
};

/// t_j = scale_j drop_j(x) A_j^T for each factor, to its columns of t [rows, t_columns]; f32
/// arithmetic. Every value is summed in an order that depends on `columns` alone.
void dropped_products(const DroppedInput& input, std::span<const DroppedFactor> factors, float* t,
                      i64 t_columns);

/// dx = sum_j drop_j'(u_j A_j), if dx [rows, columns] is not null, and dA_j = u_j^T drop_j(x), to
/// rows [first_j, first_j + rank_j) of dA, if dA [u_columns, columns] is not null (x is read only
/// then). `scale` is not applied: u [rows, u_columns] has it. f32 arithmetic; sums over rows in an
/// order that depends on the shape alone.
struct DroppedGradients {
  const float* u = nullptr;
  i64 u_columns = 0;
  float* dx = nullptr;
  float* dA = nullptr;
};
i64 dropped_gradients_scratch(const DroppedInput& input, const DroppedGradients& gradients);
void dropped_gradients(const DroppedInput& input, std::span<const DroppedFactor> factors,
                       const DroppedGradients& gradients, std::span<float> scratch);

}  // namespace inlay::kernels
