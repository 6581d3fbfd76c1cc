// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

/// Lengths of a weight's rows or of a table's columns, for methods that train length and direction
/// apart (DoRA, Liu et al. 2024, arXiv:2402.09353). Sums are in double, each in the order of its
/// values.
namespace inlay::kernels {

/// squares[r] = |row r|^2 of rows [squares.size(), width].
void row_squares(std::span<const float> rows, i64 width, std::span<double> squares);

/// 1 / |V_o| of V = W + s B A, without forming V:
///   |V_o|^2 = |W_o|^2 + 2 s (A W^T)_o . B_o + s^2 (B A A^T)_o . B_o
struct UpdatedRows {
  std::span<const double> squares;  // [out] |W_o|^2
  std::span<const float> across;    // [rank, out] A W^T
  std::span<const float> b;         // [out, rank]
  std::span<const float> bent;      // [out, rank] B (A A^T)
  double scale = 1.0;               // s
};
void inverse_row_norms(const UpdatedRows& rows, std::span<float> out);

/// y[i] = 1 / x[i]
void reciprocal(std::span<const float> x, std::span<float> y);

/// squares[c] += sum over rows of x[r, c]^2; squares.size() columns.
void add_column_squares(std::span<const float> x, std::span<double> squares);
/// y[c] = x[c] / sqrt(squares[c])
void over_lengths(std::span<const float> x, std::span<const double> squares, std::span<float> y);

/// y[r, c] = x[r, c] * factors[r]
void scale_rows(std::span<const float> x, std::span<const float> factors, std::span<float> y);

}  // namespace inlay::kernels
