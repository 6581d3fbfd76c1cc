// SPDX-License-Identifier: Apache-2.0
#pragma once

// The products of attention_bf16.h as the vector units do them: a pair of numbers of A is
// broadcast and meets vectors of pairs of B. Scores are made of eight keys and the 48 rows of a
// tile at a time, and become weights while the next eight keys are multiplied: they are few enough
// for the processor to see both.

#include "core/kernels/cpu/attention/attention_bf16.h"
#include "core/kernels/cpu/attention/attention_dropout.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

using attention::kBlockKeys;

constexpr i64 kGroupKeys = 8;

// The block of sums that stays in registers is M x N vectors: 8 x 3 = 24 sums, 3 vectors of B and
// a pair of A; or 4 x 4. The loops are as plain as they are because a block takes but a few hundred
// cycles: GCC 12 loses a tenth of them to whatever else it finds between two steps.

inline Vec add_dot(Vec left, Vec right, Vec sum) {
  return {_mm512_dpbf16_ps(sum.v, reinterpret_cast<__m512bh>(left.v),
                           reinterpret_cast<__m512bh>(right.v))};
}

/// What happens to a block of sums besides.
struct Nothing {
  template <int M, int N>
  void operator()(const Vec (&/*sum*/)[M][N]) const {}
};

/// c[i][0 .. N vectors) = or += sum over k < steps of a[i][k] b[k][0 .. N vectors), i < M. Calls
/// look(sums) when they are done.
template <int M, int N, int kUnroll, bool kAdd, class Look = Nothing>
[[gnu::always_inline]] inline void dots_block(const float* a, i64 a_stride, const float* b,
                                              i64 b_stride, i64 steps, float* c, i64 c_stride,
                                              Look look = {}) {
  Vec sum[M][N];
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      sum[i][j] = kAdd ? Vec::load(c + i * c_stride + j * kLanes) : Vec::zero();
    }
  }
  RowValues<M> pair(a, a_stride, 1);
  do {
#pragma GCC unroll 8
    for (int s = 0; s < kUnroll; ++s) {
      Vec right[N];
#pragma GCC unroll 4
      for (int j = 0; j < N; ++j) {
        right[j] = Vec::load(b + j * kLanes);
      }
#pragma GCC unroll 8
      for (int i = 0; i < M; ++i) {
        const Vec left = Vec::set(pair.at(i));
#pragma GCC unroll 4
        for (int j = 0; j < N; ++j) {
          sum[i][j] = add_dot(left, right[j], sum[i][j]);
        }
      }
      pair.advance();
      b += b_stride;
    }
    steps -= kUnroll;
  } while (steps > 0);
  look(sum);
#pragma GCC unroll 8
  for (int i = 0; i < M; ++i) {
#pragma GCC unroll 4
    for (int j = 0; j < N; ++j) {
      sum[i][j].store(c + i * c_stride + j * kLanes);
    }
  }
}

/// c += a b for a panel of N vectors; `steps` is a multiple of kUnroll.
template <int N, int kUnroll>
void dots_panel(i64 rows, i64 steps, const float* a, i64 a_stride, const float* b, i64 b_stride,
                float* c, i64 c_stride) {
  constexpr int kRows = N == 4 ? 4 : 8;
  for (; rows >= kRows; rows -= kRows) {
    dots_block<kRows, N, kUnroll, true>(a, a_stride, b, b_stride, steps, c, c_stride);
    a += kRows * a_stride;
    c += kRows * c_stride;
  }
  for (; rows > 0; --rows) {
    dots_block<1, N, kUnroll, true>(a, a_stride, b, b_stride, steps, c, c_stride);
    a += a_stride;
    c += c_stride;
  }
}

/// A panel of a tile, whose strides the compiler knows: computing the addresses of so few sums
/// would cost as much as a step of them.
template <int N, int kUnroll, bool kAdd>
void dots_tile_panel(i64 rows, i64 steps, const float* a, i64 a_stride, const float* b, float* c) {
  do {
    dots_block<8, N, kUnroll, kAdd>(a, a_stride, b, kTileRows, steps, c, kTileRows);
    a += 8 * a_stride;
    c += 8 * kTileRows;
    rows -= 8;
  } while (rows > 0);
}

/// c[rows][vectors] = or += a[rows][depth] b[depth][vectors], b and c as wide as a tile; rows and
/// depth are multiples of 8, and not 0.
template <bool kAdd>
inline void tile_dots(i64 rows, i64 vectors, i64 depth, Bf16Rows a, Bf16Rows b, float* c) {
  static_assert(kTileRows == 3 * kLanes);
  const i64 steps = depth / 2;
  const bool whole = steps % 8 == 0;
  const auto panel =
      vectors == 3   ? (whole ? dots_tile_panel<3, 8, kAdd> : dots_tile_panel<3, 4, kAdd>)
      : vectors == 2 ? (whole ? dots_tile_panel<2, 8, kAdd> : dots_tile_panel<2, 4, kAdd>)
                     : (whole ? dots_tile_panel<1, 8, kAdd> : dots_tile_panel<1, 4, kAdd>);
  panel(rows, steps, reinterpret_cast<const float*>(a.data), a.stride / 2,
        reinterpret_cast<const float*>(b.data), c);
}

/// c[rows][vectors] += a[rows][depth] b[depth][vectors]; depth is a multiple of 8, and not 0.
inline void add_dots(i64 rows, i64 vectors, i64 depth, Bf16Rows a, Bf16Rows b, float* c,
                     i64 c_stride) {
  const float* left = reinterpret_cast<const float*>(a.data);
  const float* right = reinterpret_cast<const float*>(b.data);
  const i64 steps = depth / 2;
  const bool whole = steps % 8 == 0;
  while (vectors > 0) {
    // Panels of even width: 5 vectors are 3 + 2, not 4 + 1.
    const i64 panels = (vectors + 3) / 4, width = (vectors + panels - 1) / panels;
    const auto panel = width == 4   ? (whole ? dots_panel<4, 8> : dots_panel<4, 4>)
                       : width == 3 ? (whole ? dots_panel<3, 8> : dots_panel<3, 4>)
                       : width == 2 ? (whole ? dots_panel<2, 8> : dots_panel<2, 4>)
                                    : (whole ? dots_panel<1, 8> : dots_panel<1, 4>);
    panel(rows, steps, left, a.stride / 2, right, b.stride / 2, c, c_stride);
    right += width * kLanes;
    c += width * kLanes;
    vectors -= width;
  }
}

/// x[i] = 2^x[i], as exp2() has it; step by step for all of them: one after the other, each would
/// fill the processor's queues with instructions that wait.
inline void exp2_all(Vec (&x)[kGroupKeys]) {
  constexpr float kTerms[] = {0x1.277856p-7F, 0x1.c91ce4p-5F, 0x1.ebdb5cp-3F, 0x1.62e4bap-1F, 1.0F};
  Vec rest[kGroupKeys], p[kGroupKeys];
#pragma GCC unroll 8
  for (i64 i = 0; i < kGroupKeys; ++i) {
    // x - floor(x), in [0, 1), where the polynomial holds; the floor goes into the exponent.
    rest[i].v = _mm512_reduce_ps(x[i].v, _MM_FROUND_TO_NEG_INF | _MM_FROUND_NO_EXC);
  }
#pragma GCC unroll 8
  for (i64 i = 0; i < kGroupKeys; ++i) {
    p[i] = fma(Vec::set(0x1.e974fap-10F), rest[i], Vec::set(kTerms[0]));
  }
#pragma GCC unroll 4
  for (i64 t = 1; t < 5; ++t) {
#pragma GCC unroll 8
    for (i64 i = 0; i < kGroupKeys; ++i) {
      p[i] = fma(p[i], rest[i], Vec::set(kTerms[t]));
    }
  }
#pragma GCC unroll 8
  for (i64 i = 0; i < kGroupKeys; ++i) {
    x[i] = scale_by_power_of_two(p[i], x[i]);
  }
}

/// Calls meet(begin, count) for even pieces of a range, at most kBlockKeys and all but the last
/// multiples of 16: whole turns of the unrolled products.
template <class Meet>
inline void for_each_dot_block(KeyRange keys, Meet meet) {
  const i64 total = keys.end - keys.begin;
  const i64 blocks = (total + kBlockKeys - 1) / kBlockKeys;
  const i64 length = blocks > 0 ? round_up((total + blocks - 1) / blocks, 2 * kGroupKeys) : 0;
  for (i64 k = keys.begin; k < keys.end; k += length) {
    meet(k, keys.end - k < length ? keys.end - k : length);
  }
}

/// Rows that will be wanted when `turns` groups of keys are done. Each is read only once, so they
/// come from memory; prefetched earlier than in the last turns, they would be evicted again.
template <i64 kTensors>
class RowsAhead {
 public:
  RowsAhead(i64 turns, const Rows (&tensors)[kTensors]) : wait_(turns - kTurns) {
    for (i64 i = 0; i < kTensors; ++i) {
      rows_[i] = Fetcher(tensors[i], turns < kTurns ? turns : kTurns);
    }
  }

  void fetch() {
    if (--wait_ < 0) {
      for (Fetcher& rows : rows_) {
        rows.fetch();
      }
    }
  }

 private:
  static constexpr i64 kTurns = 64;
  i64 wait_;
  Fetcher rows_[kTensors] = {};
};

/// keep[i]: draw_keep() for a group's keys and the rows from r on.
inline void draw_group(const TileDraws& draws, const Block& group, i64 r, Vec (&keep)[kGroupKeys]) {
  for (i64 key = 0; key < kGroupKeys; key += 4) {
    Vec quad[4];
    draw_keep(draws, (group.begin + key) / 4, r, quad);
    for (i64 i = 0; i < 4; ++i) {
      keep[key + i] = quad[i];
    }
  }
}

inline i64 tile_vectors(const Tile& tile) {
  return (tile.count + kLanes - 1) / kLanes;
}

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
