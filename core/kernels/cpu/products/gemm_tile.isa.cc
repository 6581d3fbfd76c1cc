// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/isa/kept_values.h"
#include "core/kernels/cpu/isa/simd.h"
#include "core/kernels/cpu/products/gemm_tile_output.h"
#include "core/kernels/cpu/products/row_values.h"

// The register tile: kRows x (kVectors * lanes) sums stay in registers while k runs; a step of k
// loads the vectors of B once and broadcasts one value of A a row.
//
//   AVX-512  8 x 48: 24 sums + 3 of B + 1 of A, of 32 registers; 24 multiply-adds need 11 loads
//   AVX2     6 x 16: 12 sums + 2 of B + 1 of A, of 16 registers
//   portable 4 x 8: 8 sums + 2 of B + 1 of A and a product, of 16 registers of 4 lanes
//
// Every sum is one chain of fma, k upwards, whichever function computes it.
namespace inlay::kernels::INLAY_ISA {
namespace {

#if defined(__AVX512F__)
constexpr i64 kRows = 8, kVectors = 3;
#elif defined(__AVX2__)
constexpr i64 kRows = 6, kVectors = 2;
#else
constexpr i64 kRows = 4, kVectors = 1;
#endif

constexpr i64 kLanes = Vec::kLanes;
// Floats of a cache line.
constexpr i64 kLine = 16;
// Steps of B asked for ahead: about as far as an L2 is. Where a tile needs little of B at a time,
// the processor sees to that itself.
#if defined(__AVX2__) && !defined(__AVX512F__)
constexpr i64 kAhead = 0;
#else
constexpr i64 kAhead = 16;
#endif

// The sums must become registers, so every loop over them is unrolled.
#define INLAY_UNROLL _Pragma("GCC unroll 8")
// The loop over k has a few instructions of its own, which compete with the multiply-adds for
// ports. (Unrolled by hand, GCC 12 spills sums.)
#define INLAY_UNROLL_STEPS _Pragma("GCC unroll 4")

// With 16 registers to share, GCC 12 spills sums, unless the loop is all it sees.
#if defined(__AVX2__) && !defined(__AVX512F__)
#define INLAY_TILE_LOOP [[gnu::noinline]]
#else
#define INLAY_TILE_LOOP inline
#endif

template <i64 R, i64 V>
struct Tile {
  Vec sum[R][V];
};

// Step s of A's values, whose row of B is at `b`.
template <i64 R, i64 V, class Values, class Value>
inline void step(Tile<R, V>& tile, const Values& a, i64 s, const Value* b) {
  Vec row[V];
  INLAY_UNROLL
  for (i64 v = 0; v < V; ++v) {
    row[v] = load(b + v * kLanes, AllLanes());
  }
  INLAY_UNROLL
  for (i64 r = 0; r < R; ++r) {
    const Vec value = Vec::set(a.at(r, s));
    INLAY_UNROLL
    for (i64 v = 0; v < V; ++v) {
      tile.sum[r][v] = fma(value, row[v], tile.sum[r][v]);
    }
  }
}

// ---- a full tile, from panels to C

template <i64 V>
inline void clear_and_fetch(Tile<kRows, V>& tile, const TileOutput& out) {
  fetch_output<V>(kRows, out);
  INLAY_UNROLL
  for (i64 r = 0; r < kRows; ++r) {
    INLAY_UNROLL
    for (i64 v = 0; v < V; ++v) {
      tile.sum[r][v] = Vec::zero();
    }
  }
}

template <i64 V>
[[gnu::always_inline]] inline void fetch_panel(const float* b) {
  constexpr i64 kWidth = V * kLanes;
  if constexpr (kAhead > 0) {
    INLAY_UNROLL
    for (i64 j = 0; j < kWidth; j += kLine) {
      __builtin_prefetch(b + kAhead * kWidth + j);
    }
  }
}

// Few instructions to the loop: a processor that shares its core decodes fewer of them at a time.
template <class Values, i64 V>
INLAY_TILE_LOOP void sum_steps(Tile<kRows, V>& sums, const float* data, i64 stride, i64 K,
                               const float*& b_panel) {
  constexpr i64 kWidth = V * kLanes;
  Values a(data, stride);
  Tile<kRows, V> tile = sums;
  const float* b = b_panel;
  for (; K >= Values::kSteps; K -= Values::kSteps) {
    INLAY_UNROLL_STEPS
    for (i64 s = 0; s < Values::kSteps; ++s) {
      fetch_panel<V>(b + s * kWidth);
      step(tile, a, s, b + s * kWidth);
    }
    a.advance();
    b += Values::kSteps * kWidth;
  }
  for (i64 s = 0; s < K; ++s) {
    step(tile, a, s, b);
    b += kWidth;
  }
  sums = tile;
  b_panel = b;
}

template <i64 V>
void full(const TileSteps* steps, i64 count, const float* b, const TileOutput& out) {
  Tile<kRows, V> tile;
  clear_and_fetch(tile, out);
  for (i64 i = 0; i < count; ++i) {
    const TileA& from = steps[i].a;
    const float* own = steps[i].b;
    const float*& panel = own != nullptr ? own : b;
    if (from.col_stride == 1) {
      sum_steps<RowsAlong<kRows>>(tile, from.data, from.row_stride, steps[i].K, panel);
    } else {
      sum_steps<RowsAcross<kRows>>(tile, from.data, from.col_stride, steps[i].K, panel);
    }
  }
  store_tile(tile.sum, out);
}

// ---- any tile, with its sums in memory

template <class Value, i64 R, i64 V>
void add(i64 K, const TileA& a, const Value* b, i64 b_stride, float* sums, i64 sum_stride) {
  Tile<R, V> tile;
  INLAY_UNROLL
  for (i64 r = 0; r < R; ++r) {
    INLAY_UNROLL
    for (i64 v = 0; v < V; ++v) {
      tile.sum[r][v] = Vec::load(sums + r * sum_stride + v * kLanes);
    }
  }
  RowValues<R> value(a.data, a.row_stride, a.col_stride);
  INLAY_UNROLL_STEPS
  for (i64 k = 0; k < K; ++k) {
    step(tile, value, 0, b);
    value.advance();
    b += b_stride;
  }
  INLAY_UNROLL
  for (i64 r = 0; r < R; ++r) {
    INLAY_UNROLL
    for (i64 v = 0; v < V; ++v) {
      tile.sum[r][v].store(sums + r * sum_stride + v * kLanes);
    }
  }
}

template <class Value>
using Add = void (*)(i64 K, const TileA& a, const Value* b, i64 b_stride, float* sums,
                     i64 sum_stride);

#if defined(__AVX512F__)
constexpr i64 kHeights[] = {kRows, 4, 2, 1};
template <class Value>
constexpr Add<Value> kAdd[][kVectors] = {
    {add<Value, kRows, 1>, add<Value, kRows, 2>, add<Value, kRows, 3>},
    {add<Value, 4, 1>, add<Value, 4, 2>, add<Value, 4, 3>},
    {add<Value, 2, 1>, add<Value, 2, 2>, add<Value, 2, 3>},
    {add<Value, 1, 1>, add<Value, 1, 2>, add<Value, 1, 3>}};
#elif defined(__AVX2__)
constexpr i64 kHeights[] = {kRows, 4, 2, 1};
template <class Value>
constexpr Add<Value> kAdd[][kVectors] = {{add<Value, kRows, 1>, add<Value, kRows, 2>},
                                         {add<Value, 4, 1>, add<Value, 4, 2>},
                                         {add<Value, 2, 1>, add<Value, 2, 2>},
                                         {add<Value, 1, 1>, add<Value, 1, 2>}};
#else
constexpr i64 kHeights[] = {kRows, 2, 1};
template <class Value>
constexpr Add<Value> kAdd[][kVectors] = {
    {add<Value, kRows, 1>}, {add<Value, 2, 1>}, {add<Value, 1, 1>}};
#endif

template <class Value>
void sum(i64 K, i64 rows, i64 vectors, const TileA& a, const Value* b, i64 b_stride, float* sums,
         i64 sum_stride) {
  i64 kind = 0;
  for (i64 done = 0; done < rows; done += kHeights[kind]) {
    while (kHeights[kind] > rows - done) {
      ++kind;
    }
    const TileA part = {a.data + done * a.row_stride, a.row_stride, a.col_stride};
    kAdd<Value>[kind][vectors - 1](K, part, b, b_stride, sums + done * sum_stride, sum_stride);
  }
}

Vec scaled(Vec sum, const TileOutput& out, i64 r, i64 col, i64 n) {
  const i64 at = r * out.unscaled_row_stride + col;
  if (out.unscaled != nullptr) {
    sum.store(out.unscaled + at, n);
  } else if (out.unscaled_bf16 != nullptr) {
    sum.store_bf16(out.unscaled_bf16 + at, n);
  }
  return sum * Vec::load(out.scale + col, n);
}

Vec finished(Vec sum, const TileOutput& out, i64 r, i64 col, i64 n) {
  sum = Vec::set(out.alpha) * sum;
  if (out.so_far != nullptr) {
    sum = sum + Vec::load(out.so_far + r * out.so_far_row_stride + col, n);
  }
  if (out.scale != nullptr) {
    sum = scaled(sum, out, r, col, n);
  }
  if (out.bias != nullptr) {
    sum = sum + Vec::load(out.bias + col, n);
  }
  return out.addend != nullptr ? sum + Vec::load(out.addend + r * out.addend_row_stride + col, n)
                               : sum;
}

void write(const float* sums, i64 sum_stride, i64 rows, i64 cols, const TileOutput& out) {
  for (i64 r = 0; r < rows; ++r) {
    for (i64 col = 0; col < cols; col += kLanes) {
      const i64 n = cols - col < kLanes ? cols - col : kLanes;
      const i64 at = r * out.c_row_stride + col;
      const Vec value = finished(Vec::load(sums + r * sum_stride + col), out, r, col, n);
      if (out.c_bf16 != nullptr) {
        value.store_bf16(out.c_bf16 + at, n);
      } else if (out.stream && n == kLanes) {
        value.stream(out.c + at);
      } else {
        value.store(out.c + at, n);
      }
    }
  }
}

void add_kept(const float* product, i64 stride, i64 rows, i64 cols, const KeptBits& kept,
              float* sums) {
  for (i64 r = 0; r < rows; ++r) {
    const KeptValues row(kept.bits, kept.first + r * kept.row_stride);
    for (i64 col = 0; col < cols; col += kLanes) {
      // Whole vectors: both tiles have room, and what is behind the columns is never written to C.
      const i64 at = r * stride + col;
      (Vec::load(sums + at) + keep(Vec::load(product + at), row.at(col))).store(sums + at);
    }
  }
}

#if defined(__AVX512F__)
constexpr decltype(GemmTiles::full) kFull = {full<1>, full<2>, full<3>};
#elif defined(__AVX2__)
constexpr decltype(GemmTiles::full) kFull = {full<1>, full<2>, nullptr};
#else
constexpr decltype(GemmTiles::full) kFull = {full<1>, nullptr, nullptr};
#endif

}  // namespace

const GemmTiles kGemmTiles = {kRows,         kLanes,   kVectors, {kFull[0], kFull[1], kFull[2]},
                              sum<float>,    sum<u16>, write,    add_kept,
                              finish_streams};

}  // namespace inlay::kernels::INLAY_ISA
