// SPDX-License-Identifier: Apache-2.0

// Products of operands rounded to bf16, and the short products that join them.

#include <gtest/gtest.h>

#include <map>
#include <memory>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "tests/core/gemm_product.h"
#include "tests/support/isas.h"

namespace inlay::kernels {
namespace {

using inlay::testing::IsaScope;
using inlay::testing::supported_dot_isas;
using inlay::testing::supported_isas;

std::vector<Isa> isas_and_dots() {
  std::vector<Isa> isas = supported_isas();
  for (const Isa isa : supported_dot_isas()) {
    isas.push_back(isa);
  }
  return isas;
}

// Sizes around the tiles (32 x 32 x 32 and 8 x 48 x 2) and the run of rows (64); the reference
// rounds the operands too, so the tolerance is that of f32 sums.
TEST(GemmOfBf16, IsRightAtSizesAroundTheTiles) {
  for (const Isa isa : isas_and_dots()) {
    const IsaScope scope(isa);
    for (const i64 M : {1, 15, 17, 31, 33, 65, 97}) {
      for (const i64 N : {1, 15, 16, 17, 31, 33, 47, 49, 97}) {
        for (const i64 K : {1, 2, 31, 32, 33, 65}) {
          for (const bool a_transposed : {false, true}) {
            ASSERT_NO_FATAL_FAILURE(expect_right({.M = M,
                                                  .N = N,
                                                  .K = K,
                                                  .a_transposed = a_transposed,
                                                  .b_transposed = (M + N + K) % 2 == 0,
                                                  .compute = GemmCompute::kBf16}))
                << isa_name(isa);
          }
        }
      }
    }
  }
}

TEST(GemmOfBf16, IsRightWhenCutAndInEveryFormat) {
  for (const Isa isa : isas_and_dots()) {
    const IsaScope scope(isa);
    for (int f = 0; f < kMatrixFormats; ++f) {
      for (const bool transposed : {false, true}) {
        ASSERT_NO_FATAL_FAILURE(expect_right({.M = 70,
                                              .N = transposed ? 101 : 1792,
                                              .K = transposed ? 1792 : 101,
                                              .format = static_cast<MatrixFormat>(f),
                                              .b_transposed = transposed,
                                              .alpha = 0.5F,
                                              .bias = true,
                                              .accumulate = true,
                                              .row_map = transposed,
                                              .compute = GemmCompute::kBf16}))
            << isa_name(isa);
      }
    }
  }
}

TEST(GemmOfBf16, GivesTheSameBitsAtAnyThreadCount) {
  const Product product({.M = 300, .N = 700, .K = 900, .compute = GemmCompute::kBf16});
  for (const Isa isa : isas_and_dots()) {
    const IsaScope scope(isa);
    std::vector<float> alone;
    {
      const ThreadsScope one(1);
      alone = product.computed();
    }
    for (const int threads : {2, 3, 7}) {
      const ThreadsScope many(threads);
      EXPECT_TRUE(same_bits(product.computed(), alone)) << isa_name(isa) << ", " << threads;
    }
  }
}

void expect_the_bits_of_prepacked(const ProductCase& c) {
  for (const Isa isa : isas_and_dots()) {
    const IsaScope scope(isa);
    for (const GemmCompute compute : {GemmCompute::kF32, GemmCompute::kBf16}) {
      ProductCase here = c;
      here.compute = compute;
      const Product product(here);
      ASSERT_TRUE(same_bits(product.computed_prepacked(), product.computed()))
          << isa_name(isa) << " " << text(here);
    }
  }
}

// With every format, both ways, in one slice and several, whole panels and parts of them.
TEST(GemmPrepacked, HasTheSameBits) {
  for (const auto format : {MatrixFormat::kF32, MatrixFormat::kBf16, MatrixFormat::kF16,
                            MatrixFormat::kFourBit, MatrixFormat::kQ8_0}) {
    for (const i64 K : {32, 96, 1600, 3104}) {
      for (const i64 N : {32, 96, 160, 800}) {
        const bool transposed = (K + N) % 3 == 0;
        expect_the_bits_of_prepacked({.M = N == 800 ? 300 : 41,
                                      .N = N,
                                      .K = K,
                                      .format = format,
                                      .b_transposed = transposed,
                                      .alpha = 0.5F,
                                      .bias = true,
                                      .row_map = transposed});
      }
    }
  }
}

TEST(GemmPrepacked, HasTheSameBitsAtSizesThatFillNoTile) {
  for (const i64 K : {1, 5, 33, 1537}) {
    for (const i64 N : {1, 17, 47, 49, 65}) {
      expect_the_bits_of_prepacked({.M = 35, .N = N, .K = K, .b_transposed = false});
      expect_the_bits_of_prepacked({.M = 35, .N = N, .K = K, .b_transposed = true});
    }
  }
}

std::vector<u16> rounded(std::span<const float> values) {
  std::vector<u16> out(values.size());
  f32_to_bf16(values, out);
  return out;
}

std::vector<float> widened(std::span<const u16> values) {
  std::vector<float> out(values.size());
  bf16_to_f32(values, out);
  return out;
}

// `gap`: values from one row of A to the next.
void expect_takes_and_gives_bf16(const ProductCase& shape, i64 gap) {
  const auto [M, N, K] = std::tuple(shape.M, shape.N, shape.K);
  const Product product(shape);
  std::vector<float> c;
  GemmArgs args = product.arguments_for(c);
  std::vector<u16> a(M * (K + gap), 0x7FC0);  // NaNs between the rows
  for (i64 i = 0; i < M; ++i) {
    f32_to_bf16({args.a + i * args.a_row_stride, static_cast<std::size_t>(K)},
                {a.data() + i * (K + gap), static_cast<std::size_t>(K)});
  }
  const std::vector<float> addend = c;
  args.addend = shape.accumulate ? addend.data() : nullptr;
  std::vector<float> scratch(gemm_scratch(args));
  gemm(args, scratch);

  args.a = nullptr;
  args.a_bf16 = a.data();
  args.a_row_stride = K + gap;
  std::vector<float> same(c.size(), kNan);
  args.c = same.data();
  gemm(args, scratch);
  std::vector<u16> narrow(c.size());
  args.c = nullptr;
  args.c_bf16 = narrow.data();
  scratch.resize(gemm_scratch(args));
  gemm(args, scratch);
  for (i64 i = 0; i < M; ++i) {
    const std::span<const float> row(c.data() + i * args.c_row_stride, static_cast<std::size_t>(N));
    ASSERT_EQ(std::memcmp(same.data() + i * args.c_row_stride, row.data(), 4 * N), 0)
        << text(shape) << ", row " << i;
    ASSERT_EQ(std::memcmp(narrow.data() + i * args.c_row_stride, rounded(row).data(), 2 * N), 0)
        << text(shape) << ", row " << i;
    ASSERT_EQ(narrow[i * args.c_row_stride + N], 0) << "written beside row " << i;
  }
}

// An A of bf16 gives the bits that its values give as f32, and a C of bf16 those of the f32 one,
// rounded: with one chunk and several, whole tiles and parts of them, rows that can be read in
// place and rows that cannot.
TEST(GemmOfBf16, TakesAndGivesBf16) {
  for (const Isa isa : supported_dot_isas()) {
    const IsaScope scope(isa);
    for (const i64 M : {1, 7, 8, 33, 140, 300}) {
      for (const i64 N : {16, 47, 101}) {
        for (const i64 K : {2, 31, 64, 576, 1600, 3136}) {
          for (const i64 gap : {0, 1}) {
            expect_takes_and_gives_bf16({.M = M,
                                         .N = N,
                                         .K = K,
                                         .b_transposed = (M + N) % 2 == 0,
                                         .alpha = 0.5F,
                                         .bias = true,
                                         .accumulate = K % 3 == 0,
                                         .compute = GemmCompute::kBf16},
                                        gap);
          }
        }
      }
    }
  }
}

// Floats on a cache line of their own.
class AlignedFloats {
 public:
  explicit AlignedFloats(i64 count) : room_(count + 16) {
    void* start = room_.data();
    std::size_t space = room_.size() * sizeof(float);
    data_ = static_cast<float*>(std::align(64, count * sizeof(float), start, space));
  }
  float* data() const { return data_; }

 private:
  std::vector<float> room_;
  float* data_;
};

// A result of two megabytes whose rows are whole cache lines is written past the caches; where it
// is, and how far its rows are apart, must not show in its bits.
TEST(GemmPastTheCaches, HasTheSameBits) {
  constexpr i64 kRows = 1030, kColumns = 640;
  for (const Isa isa : isas_and_dots()) {
    const IsaScope scope(isa);
    for (const GemmCompute compute : {GemmCompute::kF32, GemmCompute::kBf16}) {
      for (const i64 K : {70, 800}) {
        for (const bool accumulate : {false, true}) {
          const Product product({.M = kRows,
                                 .N = kColumns,
                                 .K = K,
                                 .b_transposed = true,
                                 .bias = true,
                                 .accumulate = accumulate,
                                 .compute = compute});
          std::vector<float> apart;
          GemmArgs args = product.arguments_for(apart);
          const AlignedFloats aligned(kRows * kColumns);
          for (i64 r = 0; r < kRows; ++r) {
            std::copy_n(args.c + r * args.c_row_stride, kColumns, aligned.data() + r * kColumns);
          }
          std::vector<float> scratch(gemm_scratch(args));
          gemm(args, scratch);
          const i64 stride = args.c_row_stride;
          args.c = aligned.data();
          args.c_row_stride = kColumns;
          args.addend = accumulate ? args.c : nullptr;
          args.addend_row_stride = kColumns;
          gemm(args, scratch);
          for (i64 r = 0; r < kRows; ++r) {
            const float* there = apart.data() + r * stride;
            const float* here = args.c + r * kColumns;
            ASSERT_TRUE(same_bits({there, there + kColumns}, {here, here + kColumns}))
                << isa_name(isa) << ", K " << K << ", row " << r;
          }
        }
      }
    }
  }
}

// What a layer group with adapters computes: t = x A^T, then y_i = x W_i^T + t_i B_i^T; and the
// same backward: u_i = dy_i B_i, then dx = sum of dy_i W_i + u A.
class LowRank {
 public:
  LowRank(i64 rows, std::vector<i64> columns, i64 inner, i64 rank, GemmCompute compute)
      : rows_(rows), columns_(std::move(columns)), inner_(inner), rank_(rank), compute_(compute) {}

  std::vector<std::vector<float>> forward(bool together) const {
    const i64 ranks = rank_ * static_cast<i64>(columns_.size());
    const std::vector<float> x = random("x", rows_ * inner_), a = random("a", ranks * inner_);
    std::vector<std::vector<float>> out = {std::vector<float>(rows_ * ranks)};
    const GemmArgs t = product(x.data(), inner_, dense(a, ranks, inner_), true, out[0], ranks);
    std::vector<std::vector<float>> weights, ups;
    std::vector<GemmTerm> updates(columns_.size());
    std::vector<GemmArgs> ys;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const i64 N = columns_[i];
      weights.push_back(random(str("w", i), N * inner_));
      ups.push_back(random(str("up", i), N * rank_));
      out.emplace_back(rows_ * N);
    }
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const i64 N = columns_[i];
      ys.push_back(product(x.data(), inner_, dense(weights[i], N, inner_), true, out[i + 1], N));
      updates[i].K = rank_;
      updates[i].a = out[0].data() + static_cast<i64>(i) * rank_;
      updates[i].a_row_stride = ranks;
      updates[i].b = dense(ups[i], N, rank_);
      updates[i].b_transposed = true;
      ys[i].more = {&updates[i], 1};
    }
    run({&t, 1}, ys, together);
    return out;
  }

  // The sums that backward's second result is, and those of the terms' magnitudes.
  std::pair<std::vector<double>, std::vector<double>> expected_dx(std::span<const float> u) const {
    const i64 ranks = rank_ * static_cast<i64>(columns_.size());
    std::vector<double> sums(rows_ * inner_), sizes(rows_ * inner_);
    const auto add = [&](std::span<const float> left, std::span<const float> right, i64 K) {
      const std::vector<float> a = widened(rounded(left)), b = widened(rounded(right));
      for (i64 i = 0; i < rows_; ++i) {
        for (i64 k = 0; k < K; ++k) {
          for (i64 j = 0; j < inner_; ++j) {
            const double term = double{a[i * K + k]} * double{b[k * inner_ + j]};
            sums[i * inner_ + j] += term;
            sizes[i * inner_ + j] += std::abs(term);
          }
        }
      }
    };
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const i64 N = columns_[i];
      add(random(str("dy", i), rows_ * N), random(str("w", i), N * inner_), N);
    }
    add(u, random("a", ranks * inner_), ranks);
    return {sums, sizes};
  }

  std::vector<std::vector<float>> backward(bool together) const {
    const i64 ranks = rank_ * static_cast<i64>(columns_.size());
    std::vector<std::vector<float>> out = {std::vector<float>(rows_ * ranks),
                                           std::vector<float>(rows_ * inner_)};
    std::vector<std::vector<float>> dys, weights, ups;
    std::vector<GemmArgs> us;
    std::vector<GemmTerm> terms;
    for (std::size_t i = 0; i < columns_.size(); ++i) {
      const i64 N = columns_[i];
      dys.push_back(random(str("dy", i), rows_ * N));
      weights.push_back(random(str("w", i), N * inner_));
      ups.push_back(random(str("up", i), N * rank_));
      us.push_back(product(dys[i].data(), N, dense(ups[i], N, rank_), false, out[0], ranks));
      us[i].N = rank_;
      us[i].c += static_cast<i64>(i) * rank_;
      us[i].alpha = 0.5F;
      terms.push_back(
          product(dys[i].data(), N, dense(weights[i], N, inner_), false, out[1], inner_));
    }
    const std::vector<float> a = random("a", ranks * inner_);
    terms.push_back(product(out[0].data(), ranks, dense(a, ranks, inner_), false, out[1], inner_));
    GemmArgs dx = product(nullptr, 0, {}, false, out[1], inner_);
    static_cast<GemmTerm&>(dx) = terms[0];
    dx.more = std::span(terms).subspan(1);
    run(us, {&dx, 1}, together);
    return out;
  }

 private:
  // Made once: the tests compare many products of the same numbers.
  static const std::vector<float>& random(const std::string& name, i64 count) {
    static std::map<std::pair<std::string, i64>, std::vector<float>> made;
    std::vector<float>& out = made[{name, count}];
    if (out.empty()) {
      out.resize(count);
      fill_uniform(out, RandomKey(3).with(name), -1.0F, 1.0F);
    }
    return out;
  }

  static MatrixRef dense(const std::vector<float>& values, i64 rows, i64 cols) {
    MatrixRef ref;
    ref.rows = rows;
    ref.cols = cols;
    ref.data = values.data();
    ref.row_bytes = cols * static_cast<i64>(sizeof(float));
    return ref;
  }

  GemmArgs product(const float* a, i64 K, const MatrixRef& b, bool transposed,
                   std::vector<float>& c, i64 N) const {
    GemmArgs args;
    args.M = rows_;
    args.N = N;
    args.K = K;
    args.a = a;
    args.a_row_stride = K;
    args.b = b;
    args.b_transposed = transposed;
    args.c = c.data();
    args.c_row_stride = N;
    args.compute = compute_;
    return args;
  }

  static void run(std::span<const GemmArgs> inner, std::span<const GemmArgs> outer, bool together) {
    if (together) {
      std::vector<float> scratch(gemm_low_rank_scratch(inner, outer));
      gemm_low_rank(inner, outer, scratch);
      return;
    }
    for (const std::span<const GemmArgs> products : {inner, outer}) {
      for (const GemmArgs& args : products) {
        std::vector<float> scratch(gemm_scratch(args));
        gemm(args, scratch);
      }
    }
  }

  i64 rows_;
  std::vector<i64> columns_;
  i64 inner_, rank_;
  GemmCompute compute_;
};

TEST(GemmLowRank, HasTheBitsOfEachProductInTurn) {
  for (const Isa isa : isas_and_dots()) {
    const IsaScope scope(isa);
    for (const GemmCompute compute : {GemmCompute::kF32, GemmCompute::kBf16}) {
      for (const i64 rank : {3, 200}) {       // short, and too long to join
        for (const i64 inner : {70, 1700}) {  // short, and cut
          for (const i64 rows : {1, 140}) {
            const LowRank group(rows, {130, 40, 64}, inner, rank, compute);
            const auto forward = group.forward(true), backward = group.backward(true);
            EXPECT_EQ(forward, group.forward(false))
                << isa_name(isa) << " " << rank << " " << inner;
            EXPECT_EQ(backward, group.backward(false))
                << isa_name(isa) << " " << rank << " " << inner;
          }
        }
      }
    }
  }
}

// Long products join the one before where there is room for their steps: all, some, none.
TEST(GemmLowRank, AddsProductsThatJoinTheOneBefore) {
  const std::vector<std::vector<i64>> groups = {{576, 192, 192}, {700, 900, 130}, {1500, 140, 200}};
  for (const Isa isa : isas_and_dots()) {
    const IsaScope scope(isa);
    for (const std::vector<i64>& columns : groups) {
      const LowRank group(37, columns, 50, 8, GemmCompute::kBf16);
      const auto out = group.backward(true);
      const auto [sums, sizes] = group.expected_dx(out[0]);
      // As for a single product: a rounding for each of the steps, forth and back.
      const double unit = 2.0 * 2000.0 * std::ldexp(1.0, -24);
      for (std::size_t i = 0; i < sums.size(); ++i) {
        ASSERT_NEAR(out[1][i], sums[i], unit * sizes[i]) << isa_name(isa) << " " << columns[0];
      }
      EXPECT_EQ(out, group.backward(false)) << isa_name(isa) << " " << columns[0];
    }
  }
}

TEST(GemmLowRank, GivesTheSameBitsAtAnyThreadCount) {
  const LowRank group(300, {576, 192, 192}, 576, 8, GemmCompute::kBf16);
  for (const Isa isa : isas_and_dots()) {
    const IsaScope scope(isa);
    std::vector<std::vector<float>> alone;
    for (const int threads : {1, 2, 5}) {
      const ThreadsScope many(threads);
      std::vector<std::vector<float>> here = group.forward(true);
      for (std::vector<float>& c : group.backward(true)) {
        here.push_back(std::move(c));
      }
      alone = alone.empty() ? here : alone;
      EXPECT_EQ(here, alone) << isa_name(isa) << ", " << threads;
    }
  }
}

}  // namespace
}  // namespace inlay::kernels
