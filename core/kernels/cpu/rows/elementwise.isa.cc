// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/rows/elementwise.isa.h"

#include "core/kernels/cpu/isa/simd.h"
#include "core/kernels/philox.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

void add(const float* a, const float* b, float* y, i64 n) {
  sweep(n,
        [&](i64 i, auto lanes) { store(load(a + i, lanes) + load(b + i, lanes), y + i, lanes); });
}

void multiply(const float* a, const float* b, float* y, i64 n) {
  sweep(n,
        [&](i64 i, auto lanes) { store(load(a + i, lanes) * load(b + i, lanes), y + i, lanes); });
}

void scale(const float* x, float factor, float* y, i64 n) {
  const Vec f = Vec::set(factor);
  sweep(n, [&](i64 i, auto lanes) { store(load(x + i, lanes) * f, y + i, lanes); });
}

void add_scaled(const float* a, const float* b, float factor, float* y, i64 n) {
  const Vec f = Vec::set(factor);
  sweep(n, [&](i64 i, auto lanes) {
    store(fma(load(b + i, lanes), f, load(a + i, lanes)), y + i, lanes);
  });
}

// Rows are summed in f32 sixteen at a time and those sums in double: the error of the f32 part
// stays at a few ulps.
constexpr i64 kRowsInFloat = 16;
constexpr i64 kMaxColumns = 64;

/// out[c] = sum over the rows r of term(r, c, lanes), for up to kMaxColumns columns.
template <class Term>
void sum_rows(i64 rows, i64 columns, double* out, Term term) {
  for (i64 c = 0; c < columns; ++c) {
    out[c] = 0.0;
  }
  for (i64 first = 0; first < rows; first += kRowsInFloat) {
    const i64 last = first + kRowsInFloat < rows ? first + kRowsInFloat : rows;
    float part[kMaxColumns] = {};
    for (i64 r = first; r < last; ++r) {
      sweep(columns, [&](i64 c, auto lanes) {
        store(load(part + c, lanes) + term(r, c, lanes), part + c, lanes);
      });
    }
    for (i64 c = 0; c < columns; ++c) {
      out[c] += static_cast<double>(part[c]);
    }
  }
}

void column_block(const float* a, const float* b, i64 stride, i64 rows, i64 columns, double* out) {
  sum_rows(rows, columns, out, [&](i64 r, i64 c, auto lanes) {
    const Vec x = load(a + r * stride + c, lanes);
    return b == nullptr ? x : x * load(b + r * stride + c, lanes);
  });
}

void dropout(const float* x, u64 begin, u32 threshold, float factor, u64 key, float* y, i64 n) {
  for (i64 i = 0; i < n; i += 4) {  // `begin` is a multiple of 4
    const PhiloxWords words = philox(key, (begin + static_cast<u64>(i)) / 4, 0);
    for (i64 j = 0; j < 4 && i + j < n; ++j) {
      y[i + j] = words.word[j] < threshold ? 0.0F : x[i + j] * factor;
    }
  }
}

double sum_of_squares(const float* x, i64 n) {
  // A square of an f32 is exact in a double, so only the order of the sums counts: 16 of them side
  // by side, as many for every instruction set.
  constexpr i64 kParts = 16;
  double parts[kParts] = {};
  const i64 whole = n / kParts * kParts;
  for (i64 i = 0; i < whole; i += kParts) {
    for (i64 j = 0; j < kParts; ++j) {
      const double v = static_cast<double>(x[i + j]);
      parts[j] += v * v;
    }
  }
  for (i64 i = whole; i < n; ++i) {
    const double v = static_cast<double>(x[i]);
    parts[i - whole] += v * v;
  }
  double sum = 0.0;
  for (const double part : parts) {
    sum += part;
  }
  return sum;
}

}  // namespace

extern const ElementwiseTable elementwise = {add,          multiply, scale,         add_scaled,
                                             column_block, dropout,  sum_of_squares};

}  // namespace inlay::kernels::INLAY_ISA
