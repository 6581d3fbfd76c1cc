// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/elementwise.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "core/kernels/cpu/rows/convert.isa.h"
#include "core/kernels/cpu/rows/elementwise.isa.h"
#include "core/parallel.h"

namespace inlay::kernels {
namespace {

constexpr i64 kElementGrain = 1 << 15;  // values a task handles: tens of microseconds
constexpr i64 kColumnBlock = 64;        // four cache lines of each row
constexpr i64 kSquaresBlock = 1 << 16;

void column_products(const float* a, const float* b, i64 rows, i64 columns, float* out,
                     bool accumulate) {
  // By columns, so that a sum's order does not depend on the threads.
  parallel_rows(columns, kColumnBlock, [&](i64 begin, i64 end) {
    double sums[kColumnBlock];
    INLAY_SELECT(elementwise)
        .column_block(a + begin, b == nullptr ? nullptr : b + begin, columns, rows, end - begin,
                      sums);
    for (i64 c = begin; c < end; ++c) {
      out[c] =
          static_cast<float>(sums[c - begin] + (accumulate ? static_cast<double>(out[c]) : 0.0));
    }
  });
}

// y = combine(x, row) for every row of x.
void with_row(void (*combine)(const float*, const float*, float*, i64), std::span<const float> x,
              std::span<const float> row, std::span<float> y) {
  const i64 columns = static_cast<i64>(row.size());
  const i64 rows = columns == 0 ? 0 : static_cast<i64>(x.size()) / columns;
  parallel_rows(rows, kElementGrain / (columns + 1) + 1, [&](i64 begin, i64 end) {
    for (i64 r = begin; r < end; ++r) {
      combine(x.data() + r * columns, row.data(), y.data() + r * columns, columns);
    }
  });
}

}  // namespace

void add(std::span<const float> a, std::span<const float> b, std::span<float> y) {
  parallel_rows(static_cast<i64>(y.size()), kElementGrain, [&](i64 begin, i64 end) {
    INLAY_SELECT(elementwise)
        .add(a.data() + begin, b.data() + begin, y.data() + begin, end - begin);
  });
}

void add_scaled(std::span<const float> a, std::span<const float> b, float factor,
                std::span<float> y) {
  parallel_rows(static_cast<i64>(y.size()), kElementGrain, [&](i64 begin, i64 end) {
    INLAY_SELECT(elementwise)
        .add_scaled(a.data() + begin, b.data() + begin, factor, y.data() + begin, end - begin);
  });
}

void multiply(std::span<const float> a, std::span<const float> b, std::span<float> y) {
  parallel_rows(static_cast<i64>(y.size()), kElementGrain, [&](i64 begin, i64 end) {
    INLAY_SELECT(elementwise)
        .multiply(a.data() + begin, b.data() + begin, y.data() + begin, end - begin);
  });
}

void scale(std::span<const float> x, float factor, std::span<float> y) {
  parallel_rows(static_cast<i64>(y.size()), kElementGrain, [&](i64 begin, i64 end) {
    INLAY_SELECT(elementwise).scale(x.data() + begin, factor, y.data() + begin, end - begin);
  });
}

void scale_columns(std::span<const float> x, std::span<const float> factors, std::span<float> y) {
  with_row(INLAY_SELECT(elementwise).multiply, x, factors, y);
}

void add_row(std::span<const float> x, std::span<const float> row, std::span<float> y) {
  with_row(INLAY_SELECT(elementwise).add, x, row, y);
}

void column_sums(std::span<const float> x, std::span<float> out, bool accumulate) {
  const i64 columns = static_cast<i64>(out.size());
  const i64 rows = columns == 0 ? 0 : static_cast<i64>(x.size()) / columns;
  column_products(x.data(), nullptr, rows, columns, out.data(), accumulate);
}

void column_dots(std::span<const float> a, std::span<const float> b, std::span<float> out) {
  const i64 columns = static_cast<i64>(out.size());
  const i64 rows = columns == 0 ? 0 : static_cast<i64>(a.size()) / columns;
  column_products(a.data(), b.data(), rows, columns, out.data(), false);
}

void dropout(std::span<const float> x, float p, u64 key, std::span<float> y) {
  // A comparison of whole numbers: the same on every processor, where one of floats could be
  // rounded.
  const u32 threshold = static_cast<u32>(std::lround(static_cast<double>(p) * 0x1p32));
  const float factor = 1.0F / (1.0F - p);
  parallel_rows(static_cast<i64>(x.size()), kElementGrain, [&](i64 begin, i64 end) {
    INLAY_SELECT(elementwise)
        .dropout(x.data() + begin, static_cast<u64>(begin), threshold, factor, key,
                 y.data() + begin, end - begin);
  });
}

void fill(std::span<float> y, float value) {
  std::ranges::fill(y, value);
}

void mean(std::span<const float> x, std::span<float> mean) {
  double sum = 0.0;
  for (const float value : x) {
    sum += value;
  }
  mean[0] = x.empty() ? 0.0F : static_cast<float>(sum / static_cast<double>(x.size()));
}

void scale_by(std::span<float> x, std::span<const float> factor) {
  if (factor[0] != 1.0F) {
    scale(x, factor[0], x);
  }
}

void scale_by_bf16(std::span<u16> x, std::span<const float> factor) {
  constexpr i64 kBlock = 1024;  // on the stack while it is f32
  if (factor[0] == 1.0F) {
    return;
  }
  parallel_rows(static_cast<i64>(x.size()), kElementGrain, [&](i64 begin, i64 end) {
    float wide[kBlock];
    for (i64 i = begin; i < end; i += kBlock) {
      const i64 n = std::min(kBlock, end - i);
      INLAY_SELECT(convert).bf16_to_f32(x.data() + i, wide, n);
      INLAY_SELECT(elementwise).scale(wide, factor[0], wide, n);
      INLAY_SELECT(convert).f32_to_bf16(wide, x.data() + i, n);
    }
  });
}

void sum(std::span<const float> x, std::span<float> sum) {
  double total = 0.0;
  for (const float value : x) {
    total += static_cast<double>(value);
  }
  sum[0] = static_cast<float>(total);
}

void sum_of_squares(std::span<const float> x, std::span<double> sum) {
  const i64 n = static_cast<i64>(x.size());
  // A part for each block of the length, added in their order below: the bits do not depend on the
  // threads.
  std::vector<double> parts((n + kSquaresBlock - 1) / kSquaresBlock);
  parallel_rows(n, kSquaresBlock, [&](i64 begin, i64 end) {
    parts[begin / kSquaresBlock] =
        INLAY_SELECT(elementwise).sum_of_squares(x.data() + begin, end - begin);
  });
  sum[0] = std::accumulate(parts.begin(), parts.end(), 0.0);
}

void count_not_finite(std::span<const float> x, std::span<i64> count) {
  count[0] = std::ranges::count_if(x, [](float value) { return !std::isfinite(value); });
}

}  // namespace inlay::kernels
