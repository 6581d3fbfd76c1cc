// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/products/gemm_stored_rows.h"

#include <utility>

#include "core/kernels/cpu/products/gemm_stored_formats.h"

// The product of a few rows of A with a B stored [N, K], in which lane n of a vector is row n of B:
//
//   some bytes of each row   transposed as 32-bit words: word j holds some values of every row
//   value k of every row     a few operations on its word
//   sums[i] = fma(a(i, k), value k, sums[i])
//
// So each sum is the same chain of fma, k upwards, that the panels of gemm_tile.isa.cc give, with
// nothing written to memory between the weights and the sums but words that stay in the first-level
// cache (simd_words.h says how a word's fields become floats).
namespace inlay::kernels::INLAY_ISA {

#if defined(__AVX512F__) || defined(__AVX2__)

namespace {

// Vectors of rows, each a chain of fma: one alone would mostly wait for itself, and more rows would
// leave too few tasks in a small matrix.
constexpr int kVectors = 3;
constexpr i64 kRows = kVectors * kLanes;
static_assert(kRows <= kMaxStoredRows);
constexpr i64 kMaxGroups = kMaxStoredSteps / kGroup;

/// The scales of a strip of 4-bit codes, block by block, by row.
struct Scales {
  float of[kMaxGroups][kRows];
};

void read_scales(const StoredRows& s, Scales& out) {
  const FourBitScales& scales = *s.four_bit;
  const i64 first = s.k / scales.block_size;
  const i64 count = (s.k + s.K - 1) / scales.block_size + 1 - first;
  for (i64 n = 0; n < kRows; ++n) {
    const i64 block = s.first_block[n] + first;
    if (scales.absmax != nullptr) {
      for (i64 b = 0; b < count; ++b) {
        out.of[b][n] = scales.absmax[block + b];
      }
      continue;
    }
    // One division a row, not one a block.
    i64 nested = block / scales.nested_block_size;
    i64 left = (nested + 1) * scales.nested_block_size - block;
    for (i64 b = 0; b < count; ++b, --left) {
      if (left == 0) {
        left = scales.nested_block_size;
        nested += 1;
      }
      out.of[b][n] =
          scales.nested_code[scales.absmax_codes[block + b]] * scales.nested_absmax[nested] +
          scales.offset;
    }
  }
}

/// The sums of M rows of A.
template <int M>
struct Sums {
  Vec of[M][kVectors];
  const float* a[M];  // of the step that is next

  INLAY_INLINE explicit Sums(const StoredRows& s) {
    for (int i = 0; i < M; ++i) {  // rows that are not asked for repeat the last
      // One form of the loop for every M up to the largest: a row computed twice costs less than
      // the code of each.
      const i64 row = i < s.M ? i : s.M - 1;
      a[i] = s.a + row * s.a_row_stride + s.k;
      for (int v = 0; v < kVectors; ++v) {
        of[i][v] = Vec::load(s.sums + row * s.sum_stride + v * kLanes);
      }
    }
  }

  INLAY_INLINE void store(const StoredRows& s) const {
    for (int i = 0; i < M && i < s.M; ++i) {
      for (int v = 0; v < kVectors; ++v) {
        of[i][v].store(s.sums + i * s.sum_stride + v * kLanes);
      }
    }
  }

  INLAY_INLINE void advance(i64 steps) {
    for (int i = 0; i < M; ++i) {
      a[i] += steps;
    }
  }
};

/// One decoded group of each vector of rows.
template <class Format>
using Groups = const Format (&)[kVectors];

/// Step k of the group.
template <int k, class Format, int M>
INLAY_INLINE void add_step(Groups<Format> groups, Sums<M>& sums) {
  const Vec values[kVectors] = {groups[0].template value<k>(), groups[1].template value<k>(),
                                groups[2].template value<k>()};
  for (int i = 0; i < M; ++i) {
    const Vec a = Vec::set(sums.a[i][k]);
    for (int v = 0; v < kVectors; ++v) {
      sums.of[i][v] = fma(a, values[v], sums.of[i][v]);
    }
  }
}

/// The steps of a group, by their numbers: a type that compiles in one go, where a function that
/// goes on to the next step would be copied into it, and both into the one before.
template <class Format>
using Steps = std::make_integer_sequence<int, Format::kValues>;

template <class Format, int M, int... k>
INLAY_INLINE void add_steps(Groups<Format> groups, Sums<M>& sums,
                            std::integer_sequence<int, k...> /*steps*/) {
  (add_step<k, Format>(groups, sums), ...);
}

/// The first `count` of them.
template <class Format, int M, int... k>
INLAY_INLINE void add_some_steps(Groups<Format> groups, Sums<M>& sums, i64 count,
                                 std::integer_sequence<int, k...> /*steps*/) {
  ((k < count ? add_step<k, Format>(groups, sums) : void()), ...);
}

/// Asks for memory evenly over the groups of a strip, into the second-level cache: on its way to
/// the first it would hold the places that the strip's own loads need there (a Zen 4 decodes a
/// quarter more tokens a second this way).
struct Ahead {
  const u8* next;
  i64 step;

  INLAY_INLINE Ahead(const StoredRows& s, i64 groups)
      : next(s.next), step(groups > 0 ? (s.next_bytes + groups - 1) / groups : 0) {}

  INLAY_INLINE void fetch() {
    for (const u8* line = next; line < next + step; line += 64) {
      __builtin_prefetch(line, 0, 2);
    }
    next += step;
  }
};

/// Blocks are transposed a run at a time. make(place, v, k): the group of vector v that starts at
/// step k.
template <class Format, int M, class Make>
INLAY_INLINE void add_blocks(const StoredRows& s, Sums<M>& sums, const Make& make) {
  constexpr i64 kBytes = Format::kBlockBytes, kRunGroups = Format::kRun * Format::kGroups;
  Words words[kVectors][(Format::kRun * kBytes + 3) / 4];
  const i64 begin = s.k / kGroup, end = begin + s.K / kGroup;
  Ahead ahead(s, end - begin);
  for (i64 g = begin; g < end;) {
    const i64 first = g / Format::kGroups;
    // A call may begin in the middle of a block (256 values, where slices are multiples of 64): its
    // run then ends early.
    const i64 whole_run = first * Format::kGroups + kRunGroups;
    const i64 run_end = end < whole_run ? end : whole_run;
    const i64 blocks = (run_end + Format::kGroups - 1) / Format::kGroups - first;
    for (int v = 0; v < kVectors; ++v) {
      transposed_bytes(s.rows + v * kLanes, first * kBytes, blocks * kBytes, words[v]);
    }
    for (; g < run_end; ++g) {
      ahead.fetch();
      const auto place = [&](int v) __attribute__((always_inline)) {
        return Place{words[v], (g / Format::kGroups - first) * kBytes, g % Format::kGroups};
      };
      const Format group[kVectors] = {make(place(0), 0, g * kGroup), make(place(1), 1, g * kGroup),
                                      make(place(2), 2, g * kGroup)};
      add_steps<Format>(group, sums, Steps<Format>());
      sums.advance(kGroup);
    }
  }
}

/// The last values of dense rows: nothing may be read behind a row.
template <class Format, int M>
void add_ends(const StoredRows& s, i64 count, Sums<M>& sums) {
  u8 ends[kRows][16] = {};
  const u8* rows[kRows];
  for (i64 n = 0; n < kRows; ++n) {
    // A copy of the row's end with zeros behind it: whole groups are read from there.
    __builtin_memcpy(ends[n], s.rows[n] + (s.k + s.K - count) * Format::kValueBytes,
                     static_cast<u64>(count * Format::kValueBytes));
    rows[n] = ends[n];
  }
  const Format group[kVectors] = {Format(rows, 0), Format(rows + kLanes, 0),
                                  Format(rows + 2 * kLanes, 0)};
  add_some_steps<Format>(group, sums, count, Steps<Format>());
}

template <class Format, int M>
INLAY_INLINE void add_dense(const StoredRows& s, Sums<M>& sums) {
  const i64 begin = s.k / Format::kValues, end = begin + s.K / Format::kValues;
  Ahead ahead(s, end - begin);
  for (i64 g = begin; g < end; ++g) {
    ahead.fetch();
    const Format group[kVectors] = {Format(s.rows, g), Format(s.rows + kLanes, g),
                                    Format(s.rows + 2 * kLanes, g)};
    add_steps<Format>(group, sums, Steps<Format>());
    sums.advance(Format::kValues);
  }
  if (s.K % Format::kValues != 0) {
    add_ends<Format>(s, s.K % Format::kValues, sums);
  }
}

template <class Format, int M>
void sum_of(const StoredRows& s) {
  Sums<M> sums(s);
  if constexpr (Format::kStoring == Storing::kBlocks) {
    add_blocks<Format>(
        s, sums, [](const Place& p, int /*v*/, i64 /*k*/) __attribute__((always_inline)) {
          return Format(p);
        });
  } else if constexpr (Format::kStoring == Storing::kFourBit) {
    Scales scales;
    read_scales(s, scales);
    const i64 size = s.four_bit->block_size;
    add_blocks<Format>(
        s, sums, [&](const Place& p, int v, i64 k) __attribute__((always_inline)) {
          const float* scale = scales.of[k / size - s.k / size] + v * kLanes;
          return Format(p, scale, s.four_bit->code);
        });
  } else {
    add_dense<Format>(s, sums);
  }
  sums.store(s);
}

template <class Format>
void sum(const StoredRows& s) {
  s.M == 1 ? sum_of<Format, 1>(s) : sum_of<Format, kMaxStoredM>(s);
}

template <class... Formats>
constexpr GemmStoredRows sums_of(FormatList<Formats...> /*formats*/) {
  return {kRows, {sum<Formats>...}};
}

}  // namespace

const GemmStoredRows kGemmStoredRows = sums_of(StoredFormats());

#else

const GemmStoredRows kGemmStoredRows = {0, {}};

#endif

}  // namespace inlay::kernels::INLAY_ISA
