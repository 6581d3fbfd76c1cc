// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one product all of tiled attention is made of: broadcast a number, multiply it by a vector,
// add. See attention_tile.h for what is multiplied.

#include "core/kernels/attention.isa.h"
#include "core/kernels/row_values.h"
#include "core/kernels/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

constexpr i64 kLanes = Vec::kLanes;
constexpr i64 kCacheLine = 16;  // floats

/// Memory that will be wanted soon: rows of `width` floats.
struct Rows {
  const float* base = nullptr;
  i64 stride = 0, count = 0, width = 0;
};

/// What a product asks for while it runs.
struct Ahead {
  Rows first, second;
};

/// Asks for rows at once. (Inlined: see row_values.h.)
[[maybe_unused, gnu::always_inline]] inline void fetch(const Rows& rows) {
  for (i64 r = 0; r < rows.count; ++r) {
    for (i64 d = 0; d < rows.width; d += kCacheLine) {
      __builtin_prefetch(rows.base + r * rows.stride + d, 0, 2);
    }
  }
}

/// Asks for some rows at a time, for the second-level cache: many requests at once would stall the
/// product's own loads.
class Fetcher {
 public:
  Fetcher() = default;
  /// In `helpings` equal ones.
  Fetcher(const Rows& rows, i64 helpings)
      : rows_(rows),
        helping_(rows.count > 0 && helpings > 0 ? (rows.count + helpings - 1) / helpings : 0) {}

  bool busy() const { return rows_.count > 0; }

  void fetch() {
    for (i64 r = 0; r < helping_ && rows_.count > 0; ++r) {
      for (i64 d = 0; d < rows_.width; d += kCacheLine) {
        __builtin_prefetch(rows_.base + d, 0, 2);
      }
      rows_.base += rows_.stride;
      --rows_.count;
    }
  }

 private:
  Rows rows_;
  i64 helping_ = 0;
};

// The block of sums that stays in registers is M x N vectors. AVX-512 (32 registers): 8 x 3 = 24
// sums, 3 vectors, 1 broadcast; 6 x 4 where 4 vectors divide the width. AVX2 (16): 4 x 3, or 6 x 2.
// The portable form counts on 16 registers of half a Vec.
#if defined(__AVX512F__)
constexpr i64 kMaxVectors = 4;
template <int N>
constexpr int kBlockRows = N == 4 ? 6 : 8;
#elif defined(__AVX2__)
constexpr i64 kMaxVectors = 3;
template <int N>
constexpr int kBlockRows = N == 2 ? 6 : 4;
#else
constexpr i64 kMaxVectors = 2;
template <int N>
constexpr int kBlockRows = 2;
#endif

/// How the operands of a sum lie. Values: where a's numbers are found; kAcross: those of a step
/// side by side. kStride: floats between the rows of b and of c, or 0 where that is known at run
/// time only. kAdds: c += in place of c =.
///
/// Scores: a is K or V, a row a key, the sum runs along its rows.
struct SumOverDims {
  template <int M>
  using Values = RowsAlong<M>;
  static constexpr bool kAcross = false;
  static constexpr i64 kStride = attention::kTileRows;
  static constexpr bool kAdds = false;
};
/// Sums a tile's rows keep: a is K or V, a column a dimension, the sum runs across its rows.
struct SumOverKeys {
  template <int M>
  using Values = RowsAcross<M>;
  static constexpr bool kAcross = true;
  static constexpr i64 kStride = attention::kTileRows;
  static constexpr bool kAdds = true;
};
/// Gradients of keys: a is a tile's weights, a row a key, the sum runs along its rows.
struct SumOverRows {
  template <int M>
  using Values = RowsAlong<M, attention::kTileRows>;
  static constexpr bool kAcross = false;
  static constexpr i64 kStride = 0;
  static constexpr bool kAdds = true;
};

/// Rows of numbers.
struct Operand {
  const float* data;
  i64 stride;
};
struct Result {
  float* data;
  i64 stride;
};

template <int M, int N>
struct Sums {
  Vec sum[M][N];
};

/// Step s of the contraction.
template <int M, int N, class Values>
inline void add_step(Sums<M, N>& sums, const Values& a, i64 s, const float* b) {
  Vec right[N];
#pragma GCC unroll 4
  for (int j = 0; j < N; ++j) {
    right[j] = Vec::load(b + j * kLanes);
  }
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
    const Vec left = Vec::set(a.at(i, s));
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      sums.sum[i][j] = fma(left, right[j], sums.sum[i][j]);
    }
  }
}

/// c[i][0 .. N vectors) = or += sum over k < depth of a(i, k) * b[k][0 .. N vectors), i < M.
template <class Sum, int M, int N>
inline void product_block(Operand a, Operand b, i64 depth, Result c) {
  using Values = typename Sum::template Values<M>;
  const i64 c_stride = Sum::kStride != 0 ? Sum::kStride : c.stride;
  Sums<M, N> sums;
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      sums.sum[i][j] = Sum::kAdds ? Vec::load(c.data + i * c_stride + j * kLanes) : Vec::zero();
    }
  }
  Values values(a.data, a.stride);
  const Distances<Sum::kStride> rows(b.stride);
  const char* row = reinterpret_cast<const char*>(b.data);
  const auto at = [&](i64 s) { return reinterpret_cast<const float*>(row + rows.bytes(s)); };
  i64 k = depth;
  for (; k >= Values::kSteps; k -= Values::kSteps) {
#pragma GCC unroll 4
    for (i64 s = 0; s < Values::kSteps; ++s) {
      add_step<M, N>(sums, values, s, at(s));
    }
    values.advance();
    row += rows.bytes(1) + rows.bytes(3);
  }
  static_assert(Values::kSteps == 4);
  for (i64 s = 0; s < k; ++s) {
    add_step<M, N>(sums, values, s, at(s));
  }
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      sums.sum[i][j].store(c.data + i * c_stride + j * kLanes);
    }
  }
}

/// Where the numbers of a's row i begin: a row of memory, or a column of it.
template <class Sum>
inline Operand from_row(Operand a, i64 i) {
  return {a.data + i * (Sum::kAcross ? 1 : a.stride), a.stride};
}

// (Alone in a function: GCC 12 spills sums where it sees more.)
template <class Sum, int N>
[[gnu::noinline]] void product_panel(i64 rows, Operand a, Operand b, i64 depth, Result c,
                                     const Ahead& ahead) {
  constexpr int kRows = kBlockRows<N>;
  Fetcher first(ahead.first, rows / kRows), second(ahead.second, rows / kRows);
  i64 i = 0;
  const auto from = [&] { return from_row<Sum>(a, i); };
  const auto to = [&] { return Result{c.data + i * c.stride, c.stride}; };
  for (; i + kRows <= rows; i += kRows) {
    first.fetch();
    second.fetch();
    product_block<Sum, kRows, N>(from(), b, depth, to());
  }
  if (kRows > 4 && i + 4 <= rows) {
    product_block<Sum, 4, N>(from(), b, depth, to());
    i += 4;
  }
  if (kRows > 2 && i + 2 <= rows) {
    product_block<Sum, 2, N>(from(), b, depth, to());
    i += 2;
  }
  if (i < rows) {
    product_block<Sum, 1, N>(from(), b, depth, to());
  }
}

/// c[rows][vectors] = or += a[rows][depth] b[depth][vectors]. Each sum runs over k in order, from 0
/// or from what c holds.
template <class Sum>
void product(i64 rows, i64 vectors, i64 depth, Operand a, Operand b, Result c, Ahead ahead = {}) {
  while (vectors > 0) {
    // Panels of even width: 5 vectors are 3 + 2, not 4 + 1.
    const i64 panels = (vectors + kMaxVectors - 1) / kMaxVectors;
    const i64 width = (vectors + panels - 1) / panels;
    switch (width) {
#if defined(__AVX512F__)
      case 4:
        product_panel<Sum, 4>(rows, a, b, depth, c, ahead);
        break;
#endif
#if defined(__AVX2__)
      case 3:
        product_panel<Sum, 3>(rows, a, b, depth, c, ahead);
        break;
#endif
      case 2:
        product_panel<Sum, 2>(rows, a, b, depth, c, ahead);
        break;
      default:
        product_panel<Sum, 1>(rows, a, b, depth, c, ahead);
        break;
    }
    b.data += width * kLanes;
    c.data += width * kLanes;
    vectors -= width;
    ahead = {};
  }
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
