// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/lengths.h"

#include <cmath>

#include "core/parallel.h"

namespace inlay::kernels {
namespace {

constexpr i64 kValuesATask = 4096;

template <class Body>
void rows_in_tasks(i64 rows, i64 width, const Body& body) {
  parallel_rows(rows, kValuesATask / (width + 1) + 1, [&](i64 begin, i64 end) {
    for (i64 r = begin; r < end; ++r) {
      body(r);
    }
  });
}

}  // namespace

void row_squares(std::span<const float> rows, i64 width, std::span<double> squares) {
  rows_in_tasks(static_cast<i64>(squares.size()), width, [&](i64 r) {
    double sum = 0.0;
    for (const float w : rows.subspan(r * width, width)) {
      sum += static_cast<double>(w) * static_cast<double>(w);
    }
    squares[r] = sum;
  });
}

void inverse_row_norms(const UpdatedRows& rows, std::span<float> out) {
  const i64 count = static_cast<i64>(out.size());
  const i64 rank = count == 0 ? 0 : static_cast<i64>(rows.b.size()) / count;
  rows_in_tasks(count, rank, [&](i64 o) {
    double mixed = 0.0;
    double square = 0.0;
    for (i64 r = 0; r < rank; ++r) {
      const auto b = static_cast<double>(rows.b[o * rank + r]);
      mixed += static_cast<double>(rows.across[r * count + o]) * b;
      square += static_cast<double>(rows.bent[o * rank + r]) * b;
    }
    const double norm2 =
        rows.squares[o] + 2.0 * rows.scale * mixed + rows.scale * rows.scale * square;
    out[o] = static_cast<float>(1.0 / std::sqrt(norm2));
  });
}

void reciprocal(std::span<const float> x, std::span<float> y) {
  rows_in_tasks(static_cast<i64>(x.size()), 1, [&](i64 i) { y[i] = 1.0F / x[i]; });
}

void add_column_squares(std::span<const float> x, std::span<double> squares) {
  const i64 width = static_cast<i64>(squares.size());
  const i64 rows = width == 0 ? 0 : static_cast<i64>(x.size()) / width;
  rows_in_tasks(width, rows, [&](i64 c) {
    for (i64 r = 0; r < rows; ++r) {
      const auto value = static_cast<double>(x[r * width + c]);
      squares[c] += value * value;
    }
  });
}

void over_lengths(std::span<const float> x, std::span<const double> squares, std::span<float> y) {
  rows_in_tasks(static_cast<i64>(x.size()), 1, [&](i64 c) {
    y[c] = static_cast<float>(static_cast<double>(x[c]) / std::sqrt(squares[c]));
  });
}

void scale_rows(std::span<const float> x, std::span<const float> factors, std::span<float> y) {
  const i64 rows = static_cast<i64>(factors.size());
  const i64 width = rows == 0 ? 0 : static_cast<i64>(x.size()) / rows;
  rows_in_tasks(rows, width, [&](i64 r) {
    for (i64 c = r * width; c < (r + 1) * width; ++c) {
      y[c] = x[c] * factors[r];
    }
  });
}

}  // namespace inlay::kernels
