// SPDX-License-Identifier: Apache-2.0
#pragma once

// The one product all of tiled attention is made of: broadcast a number, multiply it by a vector,
// add. See attention_tile.h for what is multiplied.

#include "core/kernels/cpu/isa/simd.h"
#include "core/kernels/cpu/products/row_values.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

constexpr i64 kLanes = Vec::kLanes;
constexpr i64 kCacheLine = 16;  // floats

/// Numbers a(i, k) = data[i * row + k * step], read one at a time.
struct Broadcast {
  const float* data;
  i64 row, step;
};

/// Memory that will be wanted soon: rows of `width` floats.
struct Rows {
  const float* base = nullptr;
  i64 stride = 0, count = 0, width = 0;
};

/// What a product prefetches while it runs.
struct Ahead {
  Rows first, second;
};

/// Prefetches all rows at once. (Inlined: see row_values.h.)
[[maybe_unused, gnu::always_inline]] inline void fetch(const Rows& rows) {
  for (i64 r = 0; r < rows.count; ++r) {
    for (i64 d = 0; d < rows.width; d += kCacheLine) {
      __builtin_prefetch(rows.base + r * rows.stride + d, 0, 2);
    }
  }
}

/// Prefetches some rows at a time into the second-level cache: many requests at once would stall
/// the product's own loads.
class Fetcher {
 public:
  Fetcher() = default;
  /// All of `rows` after that many calls of fetch(), the same number in each.
  Fetcher(const Rows& rows, i64 calls)
      : rows_(rows),
        rows_per_call_(rows.count > 0 && calls > 0 ? (rows.count + calls - 1) / calls : 0) {}

  bool busy() const { return rows_.count > 0; }

  void fetch() {
    for (i64 r = 0; r < rows_per_call_ && rows_.count > 0; ++r) {
      for (i64 d = 0; d < rows_.width; d += kCacheLine) {
        __builtin_prefetch(rows_.base + d, 0, 2);
      }
      rows_.base += rows_.stride;
      --rows_.count;
    }
  }

 private:
  Rows rows_;
  i64 rows_per_call_ = 0;
};

// The block of sums that stays in registers is M x N vectors. AVX-512 (32 registers): 8 x 3 = 24
// sums, 3 vectors, 1 broadcast; 6 x 4 where 4 vectors divide the width. AVX2 (16): 4 x 3. The
// portable form counts on 16 registers of half a Vec.
#if defined(__AVX512F__)
constexpr i64 kMaxVectors = 4;
template <int N>
constexpr int kBlockRows = N == 4 ? 6 : 8;
#elif defined(__AVX2__)
constexpr i64 kMaxVectors = 3;
template <int N>
constexpr int kBlockRows = 4;
#else
constexpr i64 kMaxVectors = 2;
template <int N>
constexpr int kBlockRows = 2;
#endif

template <int M, int N>
struct Sums {
  Vec sum[M][N];
};

/// One step of the contraction.
template <int M, int N>
inline void add_step(Sums<M, N>& sums, const RowValues<M>& a, const float* b) {
  Vec right[N];
#pragma GCC unroll 4
  for (int j = 0; j < N; ++j) {
    right[j] = Vec::load(b + j * kLanes);
  }
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
    const Vec left = Vec::set(a.at(i));
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      sums.sum[i][j] = fma(left, right[j], sums.sum[i][j]);
    }
  }
}

/// Steps of the contraction between two prefetches: some 200 cycles of a block of 8 x 3 sums.
constexpr i64 kFetchSteps = 16;

/// c[i][0 .. N vectors) = or += sum over k < depth of a(i, k) * b[k][0 .. N vectors), i < M.
template <int M, int N>
inline void product_block(Broadcast a, const float* b, i64 b_stride, i64 depth, float* c,
                          i64 c_stride, bool add, Fetcher& first, Fetcher& second) {
  Sums<M, N> sums;
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      sums.sum[i][j] = add ? Vec::load(c + i * c_stride + j * kLanes) : Vec::zero();
    }
  }
  RowValues<M> values(a.data, a.row, a.step);
  i64 k = depth;
  for (; k >= kFetchSteps; k -= kFetchSteps) {
    if (first.busy() || second.busy()) {
      first.fetch();
      second.fetch();
    }
#pragma GCC unroll 4
    for (i64 s = 0; s < kFetchSteps; ++s) {
      add_step<M, N>(sums, values, b);
      values.advance();
      b += b_stride;
    }
  }
  for (; k > 0; --k) {
    add_step<M, N>(sums, values, b);
    values.advance();
    b += b_stride;
  }
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      sums.sum[i][j].store(c + i * c_stride + j * kLanes);
    }
  }
}

template <int N>
void product_panel(i64 rows, Broadcast a, const float* b, i64 b_stride, i64 depth, float* c,
                   i64 c_stride, bool add, const Ahead& ahead) {
  constexpr int kRows = kBlockRows<N>;
  const i64 calls = rows / kRows * (depth / kFetchSteps);
  Fetcher first(ahead.first, calls), second(ahead.second, calls);
  i64 i = 0;
  const auto at = [&](i64 at_row) { return Broadcast{a.data + at_row * a.row, a.row, a.step}; };
  for (; i + kRows <= rows; i += kRows) {
    product_block<kRows, N>(at(i), b, b_stride, depth, c + i * c_stride, c_stride, add, first,
                            second);
  }
  if (kRows > 4 && i + 4 <= rows) {
    product_block<4, N>(at(i), b, b_stride, depth, c + i * c_stride, c_stride, add, first, second);
    i += 4;
  }
  if (kRows > 2 && i + 2 <= rows) {
    product_block<2, N>(at(i), b, b_stride, depth, c + i * c_stride, c_stride, add, first, second);
    i += 2;
  }
  if (i < rows) {
    product_block<1, N>(at(i), b, b_stride, depth, c + i * c_stride, c_stride, add, first, second);
  }
}

/// c[rows][vectors] = or += a[rows][depth] b[depth][vectors]. Each sum runs over k in order, from 0
/// or from what c holds.
[[maybe_unused]] void product(i64 rows, i64 vectors, i64 depth, Broadcast a, const float* b,
                              i64 b_stride, float* c, i64 c_stride, bool add, Ahead ahead = {}) {
  while (vectors > 0) {
    // Panels of even width: 5 vectors are 3 + 2, not 4 + 1.
    const i64 panels = (vectors + kMaxVectors - 1) / kMaxVectors;
    const i64 width = (vectors + panels - 1) / panels;
    switch (width) {
#if defined(__AVX512F__)
      case 4:
        product_panel<4>(rows, a, b, b_stride, depth, c, c_stride, add, ahead);
        break;
#endif
#if defined(__AVX2__)
      case 3:
        product_panel<3>(rows, a, b, b_stride, depth, c, c_stride, add, ahead);
        break;
#endif
      case 2:
        product_panel<2>(rows, a, b, b_stride, depth, c, c_stride, add, ahead);
        break;
      default:
        product_panel<1>(rows, a, b, b_stride, depth, c, c_stride, add, ahead);
        break;
    }
    b += width * kLanes;
    c += width * kLanes;
    vectors -= width;
    ahead = {};
  }
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
