// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

/// Loops over contiguous f32 values. Spans named together have one length; an output may be an
/// input.
namespace inlay::kernels {

void add(std::span<const float> a, std::span<const float> b, std::span<float> y);
/// y = a + factor * b
void add_scaled(std::span<const float> a, std::span<const float> b, float factor,
                std::span<float> y);
void multiply(std::span<const float> a, std::span<const float> b, std::span<float> y);
void scale(std::span<const float> x, float factor, std::span<float> y);

/// y[r, c] = x[r, c] * factors[c] over rows of `factors.size()` values.
void scale_columns(std::span<const float> x, std::span<const float> factors, std::span<float> y);

/// y[r, c] = x[r, c] + row[c].
void add_row(std::span<const float> x, std::span<const float> row, std::span<float> y);

/// out[c] (+)= sum over rows of x[r, c]; out.size() columns. Rows are added in order, in double.
void column_sums(std::span<const float> x, std::span<float> out, bool accumulate);
/// out[c] = sum over rows of a[r, c] * b[r, c], in double.
void column_dots(std::span<const float> a, std::span<const float> b, std::span<float> out);

/// Inverted dropout: y[i] = keep ? x[i] / (1 - p) : 0, where value i is dropped iff word i % 4 of
/// philox(key, i / 4, 0) is below p * 2^32. Its own backward.
void dropout(std::span<const float> x, float p, u64 key, std::span<float> y);

/// y[i] = value
void fill(std::span<float> y, float value);

/// x *= factor[0], which is not known to the caller. A factor of 1 costs nothing.
void scale_by(std::span<float> x, std::span<const float> factor);
/// The same for bf16, multiplied in f32.
void scale_by_bf16(std::span<u16> x, std::span<const float> factor);

/// sum[0] = x[0] + x[1] + …, in that order, in double and rounded once.
void sum(std::span<const float> x, std::span<float> sum);

/// mean[0]: the mean of x, summed from first to last in double, rounded once; 0 for no values.
void mean(std::span<const float> x, std::span<float> mean);
/// sum[0]: the sum of squares, each of them exact, in double and in an order that depends on the
/// length alone.
void sum_of_squares(std::span<const float> x, std::span<double> sum);
/// count[0]: how many values are infinite or no numbers.
void count_not_finite(std::span<const float> x, std::span<i64> count);

}  // namespace inlay::kernels
