// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/tensor/tensor.h"

/// Lengths of a weight's rows or of a table's columns. Their squares are f64. Nothing here is
/// recorded: no gradient flows through a length.
namespace inlay {

/// |row|^2 of `rows` [R, C] f32, to `squares` [R] f64.
void row_squares(const Tensor& rows, const Tensor& squares);

/// [out] 1 / |V_o| of V = W + scale B A.
///   squares [out] f64, those of W   across [rank, out] = A W^T   a [rank, in]   b [out, rank]
Tensor inverse_row_norms(const Tensor& squares, const Tensor& across, const Tensor& a,
                         const Tensor& b, double scale);

/// 1 / x, element by element.
Tensor reciprocal(const Tensor& x);

/// Adds to `squares` [C] f64 those of the columns of x [R, C]. Zeros are squares of 0.
void add_column_squares(const Tensor& x, const Tensor& squares);
/// [C] x_c / |column c|
Tensor over_lengths(const Tensor& x, const Tensor& squares);

/// x[R, C] * factors[R].
Tensor scale_rows(const Tensor& x, const Tensor& factors);

}  // namespace inlay
