// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/rows/dropped_input.isa.h"

#include "core/kernels/cpu/isa/kept_values.h"
#include "core/kernels/cpu/isa/philox_lanes.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

constexpr i64 kLanes = Vec::kLanes;
constexpr i64 kRanks = 8;  // sums in registers at once

void draw(i64 begin, i64 end, float dropout, u64 key, u32* kept) {
  constexpr i64 kDrawn = 4 * kLanes;  // values decided on at once
  // Rounded to the nearest, as `dropout` has it.
  const u32 bound = static_cast<u32>(static_cast<double>(dropout) * 0x1p32 + 0.5);
  for (i64 i = begin; i < end; i += kDrawn) {
    // Of values i to i + 3 the counter is i / 4. A vector starts at a multiple of its lanes, so
    // only whole vectors have another upper half.
    const u64 bits = bits_not_below(key, static_cast<u64>(i) / 4, bound);
    // The lower kDrawn bits: 64 for AVX-512, 32 for the others.
    __builtin_memcpy(kept + i / 32, &bits, kDrawn / 8);
  }
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
      pair.kept[p] = KeptValues(factor.kept, first);
    }
    i64 k = take_ranks<kRanks>(pair, factor, column, stride, n, sums, 0);
    k = take_ranks<4>(pair, factor, column, stride, n, sums, k);
    take_ranks<1>(pair, factor, column, stride, n, sums, k);
  }
}

void products(const DroppedInput& input, const DroppedFactor& factor, i64 row, i64 rows, float* t,
              i64 t_columns) {
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
      sums[0][k] *= factor.scale;
    }
    for (i64 k = 0; sums[1] != sums[0] && k < factor.rank; ++k) {
      sums[1][k] *= factor.scale;
    }
  }
}

/// Vectors of columns whose sums are in registers, for R rows of dA: as many as there is room for.
constexpr i64 kVectors = kLanes == 16 ? 2 : 1;
/// Rows of x asked for ahead: the strips are too narrow for the processor to foresee.
constexpr i64 kRowsAhead = 8;

/// What a strip's sums are made of: rows of x and of u, from the block's first on.
template <class Value>
struct Strip {
  const Value* x;
  i64 stride;
  const u32* kept;
  i64 first;  // bit of x[0]
  const float* u;
  i64 u_columns;
  i64 rows;
};

/// dA_k = sum over rows r of u[r][k] kept(x[r]) for R rows k, `stride` apart, and the columns of V
/// vectors; `lanes` of the last.
template <i64 R, i64 V, class Value, class Lanes>
void strip_products(const Strip<Value>& s, float* dA, Lanes lanes) {
  Vec sum[R][V];
  for (i64 k = 0; k < R; ++k) {
    for (i64 v = 0; v < V; ++v) {
      sum[k][v] = Vec::zero();
    }
  }
  for (i64 r = 0; r < s.rows; ++r) {
    const Value* x = s.x + r * s.stride;
    const KeptValues kept(s.kept, s.first + r * s.stride);
    __builtin_prefetch(x + kRowsAhead * s.stride);
    __builtin_prefetch(x + kRowsAhead * s.stride + (V - 1) * kLanes);
    Vec d[V];
    for (i64 v = 0; v + 1 < V; ++v) {
      d[v] = keep(load(x + v * kLanes, AllLanes()), kept.at(v * kLanes));
    }
    d[V - 1] = keep(load(x + (V - 1) * kLanes, lanes), kept.at((V - 1) * kLanes));
    for (i64 k = 0; k < R; ++k) {
      const Vec u = Vec::set(s.u[r * s.u_columns + k]);
      for (i64 v = 0; v < V; ++v) {
        sum[k][v] = fma(u, d[v], sum[k][v]);
      }
    }
  }
  for (i64 k = 0; k < R; ++k) {
    for (i64 v = 0; v + 1 < V; ++v) {
      sum[k][v].store(dA + k * s.stride + v * kLanes);
    }
    store(sum[k][V - 1], dA + k * s.stride + (V - 1) * kLanes, lanes);
  }
}

/// The same for all columns of a block.
template <i64 R, class Value>
void block_products(Strip<Value> s, i64 columns, float* dA) {
  constexpr i64 kStrip = kVectors * kLanes;
  const auto move = [&](i64 by) {
    s.x += by;
    s.first += by;
    dA += by;
    columns -= by;
  };
  for (; columns >= kStrip; move(kStrip)) {
    strip_products<R, kVectors>(s, dA, AllLanes());
  }
  for (; columns >= kLanes; move(kLanes)) {
    strip_products<R, 1>(s, dA, AllLanes());
  }
  if (columns > 0) {
    strip_products<R, 1>(s, dA, columns);
  }
}

void outer_products(const DroppedInput& input, const DroppedFactor& factor,
                    const DroppedBlock& block, const float* u, i64 u_columns, float* dA) {
  with_values(input, [&](const auto* x) {
    const i64 stride = input.columns;
    const i64 start = block.row * stride + block.column;
    Strip strip = {
        x + start, stride,    factor.kept, start, u + block.row * u_columns + factor.first,
        u_columns, block.rows};
    float* to = dA + block.column;
    i64 k = 0;
    const auto take = [&](i64 ranks) {
      strip.u += ranks;
      to += ranks * stride;
      k += ranks;
    };
    for (; k + kRanks <= factor.rank; take(kRanks)) {
      block_products<kRanks>(strip, block.columns, to);
    }
    for (; k + 4 <= factor.rank; take(4)) {
      block_products<4>(strip, block.columns, to);
    }
    for (; k < factor.rank; take(1)) {
      block_products<1>(strip, block.columns, to);
    }
  });
}

}  // namespace

extern const DroppedInputTable dropped_input = {draw, products, outer_products};

}  // namespace inlay::kernels::INLAY_ISA
