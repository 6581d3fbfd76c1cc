// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/gemm_stored_rows.h"

#include "core/kernels/gemm_stored_formats.h"

// The product of a few rows of A with a B stored [N, K], in which lane n of a vector is row n of B:
//
//   16 bytes of each row   transposed as 32-bit words: word j holds some values of every row
//   value k of every row   a few operations on its word
//   sums[i] = fma(a(i, k), value k, sums[i])
//
// So each sum is the same chain of fma, k upwards, that the panels of gemm_tile.isa.cc give, with
// nothing written to memory between the weights and the sums (simd_words.h says how a word's
// fields become floats).
namespace inlay::kernels::INLAY_ISA {

#if defined(__AVX512F__) || defined(__AVX2__)

namespace {

constexpr i64 kRows = 2 * kLanes;  // two chains: one would wait for its own fma
constexpr i64 kMaxGroups = kMaxStoredSteps / kGroup;

/// The scales of a strip of 4-bit codes, block by block, by row.
struct Scales {
  float of[kMaxGroups][kRows];
};

void read_scales(const StoredRows& s, Scales& out) {
  const FourBitScales& scales = *s.four_bit;
  const i64 first = s.k / scales.block_size;
  const i64 last = (s.k + s.K - 1) / scales.block_size;
  for (i64 b = first; b <= last; ++b) {
    for (i64 n = 0; n < kRows; ++n) {
      const i64 block = s.first_block[n] + b;
      out.of[b - first][n] = scales.absmax != nullptr
                                 ? scales.absmax[block]
                                 : scales.nested_code[scales.absmax_codes[block]] *
                                           scales.nested_absmax[block / scales.nested_block_size] +
                                       scales.offset;
    }
  }
}

template <class Format>
INLAY_INLINE Format make(const Place& place, const StoredRows& s) {
  if constexpr (Format::kStoring == Storing::kFourBit) {
    return Format(place, s.four_bit->code);
  } else {
    static_cast<void>(s);
    return Format(place);
  }
}

/// The sums of M rows of A.
template <int M>
struct Sums {
  Vec low[M], high[M];
  const float* a[M];  // of the step that is next

  INLAY_INLINE explicit Sums(const StoredRows& s) {
    for (int i = 0; i < M; ++i) {  // rows that are not asked for repeat the last
      const i64 row = i < s.M ? i : s.M - 1;
      a[i] = s.a + row * s.a_row_stride + s.k;
      low[i] = Vec::load(s.sums + row * s.sum_stride);
      high[i] = Vec::load(s.sums + row * s.sum_stride + kLanes);
    }
  }

  INLAY_INLINE void store(const StoredRows& s) const {
    for (int i = 0; i < M && i < s.M; ++i) {
      low[i].store(s.sums + i * s.sum_stride);
      high[i].store(s.sums + i * s.sum_stride + kLanes);
    }
  }
};

/// Steps k to `count` of the group; all of it where kWhole.
template <int k, bool kWhole, int M, class Format>
INLAY_INLINE void add_steps(const Format& low, const Format& high, Sums<M>& sums, i64 count) {
  if constexpr (k < Format::kValues) {
    if (!kWhole && k >= count) {
      return;
    }
    const Vec x = low.template value<k>(), y = high.template value<k>();
    for (int i = 0; i < M; ++i) {
      const Vec a = Vec::set(sums.a[i][k]);
      sums.low[i] = fma(a, x, sums.low[i]);
      sums.high[i] = fma(a, y, sums.high[i]);
    }
    add_steps<k + 1, kWhole>(low, high, sums, count);
  }
}

/// Asks for memory evenly over the groups of a strip.
struct Ahead {
  const u8* next;
  i64 step;

  INLAY_INLINE Ahead(const StoredRows& s, i64 groups)
      : next(s.next), step(groups > 0 ? (s.next_bytes + groups - 1) / groups : 0) {}

  INLAY_INLINE void fetch() {
    for (const u8* line = next; line < next + step; line += 64) {
      __builtin_prefetch(line);
    }
    next += step;
  }
};

/// The last values of dense rows: nothing may be read behind a row.
template <class Format, int M>
void add_ends(const StoredRows& s, i64 count, Sums<M>& sums) {
  u8 ends[kRows][16] = {};
  const u8* rows[kRows];
  for (i64 n = 0; n < kRows; ++n) {
    __builtin_memcpy(ends[n], s.rows[n] + (s.k + s.K - count) * Format::kValueBytes,
                     static_cast<u64>(count * Format::kValueBytes));
    rows[n] = ends[n];
  }
  const Format low(Place{rows, 0, nullptr}), high(Place{rows + kLanes, 0, nullptr});
  add_steps<0, false>(low, high, sums, count);
}

template <class Format, int M>
void sum_of(const StoredRows& s) {
  constexpr bool kScaled = Format::kStoring == Storing::kFourBit;
  Scales scales;
  if constexpr (kScaled) {
    read_scales(s, scales);
  }
  Sums<M> sums(s);
  const i64 groups = s.K / Format::kValues, first = s.k / Format::kValues;
  Ahead ahead(s, groups);
  for (i64 g = 0; g < groups; ++g) {
    const float* scale = nullptr;
    if constexpr (kScaled) {
      const i64 size = s.four_bit->block_size;
      scale = scales.of[(s.k + g * kGroup) / size - s.k / size];
    }
    const Format low = make<Format>(Place{s.rows, first + g, scale}, s);
    const Format high =
        make<Format>(Place{s.rows + kLanes, first + g, kScaled ? scale + kLanes : nullptr}, s);
    ahead.fetch();
    add_steps<0, true>(low, high, sums, Format::kValues);
    for (int i = 0; i < M; ++i) {
      sums.a[i] += Format::kValues;
    }
  }
  if constexpr (Format::kStoring == Storing::kDense) {
    if (s.K % Format::kValues != 0) {
      add_ends<Format>(s, s.K % Format::kValues, sums);
    }
  }
  sums.store(s);
}

template <class Format>
void sum(const StoredRows& s) {
  s.M == 1 ? sum_of<Format, 1>(s) : sum_of<Format, kMaxStoredM>(s);
}

}  // namespace

const GemmStoredRows kGemmStoredRows = {
    kRows,
    {sum<F32>, sum<Bf16>, sum<F16>, sum<FourBit>, sum<Q8_0>, sum<Q4_0>, sum<Q4_1>, sum<Q5_0>,
     sum<Q5_1>, sum<Q4_K>, sum<Q5_K>, sum<Q6_K>}};

#else

const GemmStoredRows kGemmStoredRows = {0, {}};

#endif

}  // namespace inlay::kernels::INLAY_ISA
