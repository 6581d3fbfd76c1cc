// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/rows/dropped_input.isa.h"

#include "core/kernels/cpu/isa/philox_lanes.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

constexpr i64 kLanes = Vec::kLanes;
constexpr i64 kRows = 4;   // share the values of A in backward
constexpr i64 kRanks = 8;  // sums in registers at once

void draw(i64 begin, i64 end, float dropout, u64 key, u32* kept) {
  constexpr i64 kDrawn = 4 * kLanes;  // values a vector of counters decides on
  // Lane l draws words for values 4 l to 4 l + 3.
  const u32 lanes[16] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  const Words lane = Words::load(lanes);
  // Rounded to the nearest, as `dropout` has it.
  const Words bound = Words::set(static_cast<u32>(static_cast<double>(dropout) * 0x1p32 + 0.5));
  for (i64 i = begin; i < end; i += kDrawn) {
    const u64 counter = static_cast<u64>(i) / 4;  // of values i to i + 3
    // A vector starts at a multiple of its lanes, so only whole vectors have another upper half.
    Words x[4] = {Words::set(static_cast<u32>(counter)) + lane,
                  Words::set(static_cast<u32>(counter >> 32)), Words::set(0), Words::set(0)};
    philox_rounds(key, x);
    const u64 bits = bits_from(x, bound);
    // The lower kDrawn bits: 64 for AVX-512, 32 for the others.
    __builtin_memcpy(kept + i / 32, &bits, kDrawn / 8);
  }
}

/// The bits of a row's values from some column on.
class KeptValues {
 public:
  KeptValues() = default;
  KeptValues(const DroppedFactor& factor, i64 first)
      : bytes_(reinterpret_cast<const unsigned char*>(factor.kept) + first / 8),
        shift_(static_cast<u32>(first % 8)) {}

  /// Of values i to i + kLanes - 1, i a multiple of 8.
  u32 at(i64 i) const {
    // A row may begin at any bit: four bytes hold kLanes (at most 16) bits from any bit of the
    // first on. draw_kept leaves room to read behind the end (kept_words).
    u32 window;
    __builtin_memcpy(&window, bytes_ + i / 8, sizeof window);
    return window >> shift_;
  }

 private:
  const unsigned char* bytes_ = nullptr;
  u32 shift_ = 0;
};

float kept_factor(const DroppedFactor& factor) {
  return 1.0F / (1.0F - factor.dropout);
}

template <class F>
void with_values(const DroppedInput& input, F body) {
  if (input.x_bf16 != nullptr) {
    body(input.x_bf16);
  } else {
    body(input.x);
  }
}

/// Rows of x that share the values of A in forward.
constexpr i64 kPair = 2;

/// What forward reads of kPair rows, or of one row twice.
template <class Value>
struct RowPair {
  const Value* x[kPair];
  KeptValues kept[kPair];
};

/// sums[p][k] += sum over [0, n) of kept(x_p) a_k, for R rows of A, `stride` apart.
template <i64 R, class Value>
void add_products(const RowPair<Value>& pair, const float* a, i64 stride, i64 n,
                  float* const (&sums)[kPair]) {
  Vec acc[kPair][R];
  for (i64 k = 0; k < R; ++k) {
    acc[0][k] = Vec::zero();
    acc[1][k] = Vec::zero();
  }
  sweep(n, [&](i64 i, auto lanes) {
    const Vec d0 = keep(load(pair.x[0] + i, lanes), pair.kept[0].at(i));
    const Vec d1 = keep(load(pair.x[1] + i, lanes), pair.kept[1].at(i));
    for (i64 k = 0; k < R; ++k) {
      const Vec v = load(a + k * stride + i, lanes);
      acc[0][k] = fma(d0, v, acc[0][k]);
      acc[1][k] = fma(d1, v, acc[1][k]);
    }
  });
  for (i64 k = 0; k < R; ++k) {
    const float second = sums[1][k] + reduce_add(acc[1][k]);
    sums[0][k] += reduce_add(acc[0][k]);
    // The same place, where there is one row only.
    sums[1][k] = sums[1] == sums[0] ? sums[0][k] : second;
  }
}

/// The same for R rows of A at a time, from row k on as often as they are there.
template <i64 R, class Value>
i64 take_ranks(const RowPair<Value>& pair, const DroppedFactor& factor, i64 column, i64 stride,
               i64 n, float* const (&sums)[kPair], i64 k) {
  for (; k + R <= factor.rank; k += R) {
    float* const to[kPair] = {sums[0] + k, sums[1] + k};
    add_products<R>(pair, factor.a + k * stride + column, stride, n, to);
  }
  return k;
}

template <class Value>
void pair_products(const Value* x, const DroppedFactor& factor, const i64 (&rows)[kPair],
                   i64 stride, float* const (&sums)[kPair]) {
  for (i64 column = 0; column < stride; column += kDroppedColumns) {
    const i64 n = stride - column < kDroppedColumns ? stride - column : kDroppedColumns;
    RowPair<Value> pair;
    for (i64 p = 0; p < kPair; ++p) {
      const i64 first = rows[p] * stride + column;
      pair.x[p] = x + first;
      pair.kept[p] = KeptValues(factor, first);
    }
    i64 k = take_ranks<kRanks>(pair, factor, column, stride, n, sums, 0);
    k = take_ranks<4>(pair, factor, column, stride, n, sums, k);
    take_ranks<1>(pair, factor, column, stride, n, sums, k);
  }
}

void products(const DroppedInput& input, const DroppedFactor& factor, i64 row, i64 rows, float* t,
              i64 t_columns) {
  const float scale = factor.scale * kept_factor(factor);
  for (i64 r = row; r < row + rows; r += kPair) {
    // A last row alone stands for both of a pair, and its sums for both: no second form of the
    // loop.
    const i64 pair[kPair] = {r, r + 1 < row + rows ? r + 1 : r};
    float* const sums[kPair] = {t + pair[0] * t_columns + factor.first,
                                t + pair[1] * t_columns + factor.first};
    for (float* sum : sums) {
      for (i64 k = 0; k < factor.rank; ++k) {
        sum[k] = 0.0F;
      }
    }
    with_values(input, [&](const auto* x) { pair_products(x, factor, pair, input.columns, sums); });
    for (i64 k = 0; k < factor.rank; ++k) {
      sums[0][k] *= scale;
    }
    for (i64 k = 0; sums[1] != sums[0] && k < factor.rank; ++k) {
      sums[1][k] *= scale;
    }
  }
}

/// A few rows of a block, and up to kRanks rows of A.
struct Strip {
  i64 rows, ranks;
  float coefficient[kRows][kRanks];  // u, with what keeping multiplies by; zero where unused
  const float* a;
  float* dA;  // or null
  i64 stride;
};

/// dx[r] (+)= kept_r(sum_k u[r][k] a_k), if dx is not null, and dA_k += sum_r u[r][k] kept_r(x[r]).
template <class Value>
void strip_gradients(const Strip& strip, const Value* x, const KeptValues (&kept)[kRows], float* dx,
                     i64 n, bool add) {
  sweep(n, [&](i64 i, auto lanes) {
    Vec d[kRows], g[kRows];
    for (i64 r = 0; r < kRows; ++r) {
      const bool reads = strip.dA != nullptr && r < strip.rows;
      d[r] = reads ? keep(load(x + r * strip.stride + i, lanes), kept[r].at(i)) : Vec::zero();
      g[r] = Vec::zero();
    }
    for (i64 k = 0; k < strip.ranks; ++k) {
      const Vec a = load(strip.a + k * strip.stride + i, lanes);
      Vec sum = Vec::zero();
      for (i64 r = 0; r < kRows; ++r) {
        const Vec u = Vec::set(strip.coefficient[r][k]);
        g[r] = fma(u, a, g[r]);
        sum = fma(u, d[r], sum);
      }
      if (strip.dA != nullptr) {
        float* to = strip.dA + k * strip.stride + i;
        store(load(to, lanes) + sum, to, lanes);
      }
    }
    for (i64 r = 0; dx != nullptr && r < strip.rows; ++r) {
      float* to = dx + r * strip.stride + i;
      // The mask is linear and the same for all factors k of the row: applied once, to the sum.
      const Vec v = keep(g[r], kept[r].at(i));
      store(add ? load(to, lanes) + v : v, to, lanes);
    }
  });
}

void gradients(const DroppedInput& input, const DroppedFactor& factor, const DroppedBlock& block,
               const DroppedGradients& out, float* dA, bool first) {
  const i64 stride = input.columns;
  const float factor_of_kept = kept_factor(factor);
  KeptValues kept[kRows];
  for (i64 row = block.row; row < block.row + block.rows; row += kRows) {
    Strip strip = {};
    const i64 left = block.row + block.rows - row;
    strip.rows = left < kRows ? left : kRows;
    strip.stride = stride;
    const i64 start = row * stride + block.column;
    for (i64 r = 0; r < strip.rows; ++r) {
      kept[r] = KeptValues(factor, start + r * stride);
    }
    for (i64 k = 0; k < factor.rank; k += kRanks) {
      strip.ranks = factor.rank - k < kRanks ? factor.rank - k : kRanks;
      strip.a = factor.a + k * stride + block.column;
      strip.dA = dA == nullptr ? nullptr : dA + k * stride + block.column;
      for (i64 r = 0; r < strip.rows; ++r) {
        for (i64 j = 0; j < strip.ranks; ++j) {
          strip.coefficient[r][j] =
              out.u[(row + r) * out.u_columns + factor.first + k + j] * factor_of_kept;
        }
      }
      float* dx = out.dx == nullptr ? nullptr : out.dx + start;
      const bool add = !first || k > 0;
      with_values(input, [&](const auto* x) {
        strip_gradients(strip, x == nullptr ? x : x + start, kept, dx, block.columns, add);
      });
    }
  }
}

}  // namespace

extern const DroppedInputTable dropped_input = {draw, products, gradients};

}  // namespace inlay::kernels::INLAY_ISA
