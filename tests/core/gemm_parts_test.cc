// SPDX-License-Identifier: Apache-2.0

// What adapters ask of products beside sums: parts that are kept, and outputs that are scaled.

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/error.h"
#include "core/kernels/convert.h"
#include "core/kernels/dropped_input.h"
#include "core/kernels/gemm.h"
#include "core/random.h"
#include "tests/support/isas.h"

namespace inlay::kernels {
namespace {

using inlay::testing::all_supported_isas;
using inlay::testing::IsaScope;

std::vector<float> uniform(i64 count, const char* name) {
  std::vector<float> out(static_cast<std::size_t>(count));
  fill_uniform(out, RandomKey(9).with(name), -1.0F, 1.0F);
  return out;
}

std::vector<u32> drawn(i64 values, float dropout, u64 key) {
  std::vector<u32> kept(static_cast<std::size_t>(kept_words(values)));
  const KeptDraw draw = {dropout, key, kept.data()};
  draw_kept(values, {&draw, 1});
  return kept;
}

bool is_set(const std::vector<u32>& bits, i64 i) {
  return ((bits[i / 32] >> (i % 32)) & 1U) != 0;
}

double rounded(float value, GemmCompute compute) {
  u16 narrow = 0;
  float wide = value;
  if (compute != GemmCompute::kF32) {
    f32_to_bf16({&value, 1}, {&narrow, 1});
    bf16_to_f32({&narrow, 1}, {&wide, 1});
  }
  return wide;
}

MatrixRef dense(const std::vector<float>& values, i64 rows, i64 cols) {
  MatrixRef ref;
  ref.rows = rows;
  ref.cols = cols;
  ref.data = values.data();
  ref.row_bytes = cols * static_cast<i64>(sizeof(float));
  return ref;
}

// A [M, K] B [K, N], and what belongs to it.
struct Operands {
  Operands(i64 rows, i64 columns, i64 steps, const char* name)
      : M(rows),
        N(columns),
        K(steps),
        a(uniform(M * K, name)),
        b(uniform(K * N, str(name, " b").c_str())) {}

  GemmTerm term() const {
    GemmTerm term;
    term.K = K;
    term.a = a.data();
    term.a_row_stride = K;
    term.b = dense(b, K, N);
    return term;
  }
  double product(i64 i, i64 j, GemmCompute compute) const {
    double sum = 0.0;
    for (i64 k = 0; k < K; ++k) {
      sum += rounded(a[i * K + k], compute) * rounded(b[k * N + j], compute);
    }
    return sum;
  }

  i64 M, N, K;
  std::vector<float> a, b;
};

std::vector<float> run(GemmArgs args) {
  std::vector<float> c(static_cast<std::size_t>(args.M * args.N));
  args.c = c.data();
  args.c_row_stride = args.N;
  std::vector<float> scratch(static_cast<std::size_t>(gemm_scratch(args)));
  gemm(args, scratch);
  return c;
}

GemmArgs arguments(const Operands& x, GemmCompute compute) {
  GemmArgs args;
  static_cast<GemmTerm&>(args) = x.term();
  args.M = x.M;
  args.N = x.N;
  args.compute = compute;
  return args;
}

constexpr GemmCompute kComputes[] = {GemmCompute::kF32, GemmCompute::kBf16, GemmCompute::kInt8};

// Two products behind another: one short, one too long to be packed with what is before it.
void expect_parts_added(i64 M, i64 N, i64 K, GemmCompute compute) {
  const Operands x(M, N, K, "x"), others[2] = {{M, N, 8, "short"}, {M, N, 150, "long"}};
  const std::vector<u32> kept[2] = {drawn(M * N, 0.3F, 1), drawn(M * N, 0.6F, 2)};
  GemmTerm more[2];
  for (int p = 0; p < 2; ++p) {
    more[p] = others[p].term();
    more[p].kept = kept[p].data();
    more[p].never_int8 = true;
  }
  GemmArgs args = arguments(x, compute);
  const std::vector<float> alone = run(args);
  args.more = more;
  const std::vector<float> all = run(args);
  for (i64 i = 0; i < M * N; ++i) {
    double added = 0.0;
    for (int p = 0; p < 2; ++p) {
      added += is_set(kept[p], i) ? others[p].product(i / N, i % N, compute) : 0.0;
    }
    // Roundings of the sum, which is below K, and of the products that are added.
    const double tolerance = added == 0.0 ? 0.0 : (static_cast<double>(K) + 158.0) * 0x1p-22;
    ASSERT_NEAR(static_cast<double>(all[i]) - static_cast<double>(alone[i]), added, tolerance)
        << M << " x " << N << " x " << K << ", element " << i;
  }
}

TEST(GemmParts, AddsWhatIsKeptOfAProduct) {
  for (const Isa isa : all_supported_isas()) {
    const IsaScope scope(isa);
    for (const GemmCompute compute : kComputes) {
      for (const i64 M : {1, 5, 33, 140}) {
        for (const i64 N : {7, 48, 100}) {
          for (const i64 K : {70, 1700}) {
            ASSERT_NO_FATAL_FAILURE(expect_parts_added(M, N, K, compute)) << isa_name(isa);
          }
        }
      }
    }
  }
}

TEST(GemmParts, AFirstProductMayBeKeptInPart) {
  for (const Isa isa : all_supported_isas()) {
    const IsaScope scope(isa);
    for (const GemmCompute compute : {GemmCompute::kF32, GemmCompute::kBf16}) {
      for (const i64 M : {3, 60, 300}) {
        const Operands x(M, 50, 8, "x");
        const std::vector<u32> kept = drawn(M * 50, 0.4F, 3);
        GemmArgs args = arguments(x, compute);
        const std::vector<float> whole = run(args);
        args.kept = kept.data();
        const std::vector<float> part = run(args);
        for (i64 i = 0; i < M * 50; ++i) {
          ASSERT_EQ(part[i], is_set(kept, i) ? whole[i] : 0.0F) << isa_name(isa) << " " << i;
        }
      }
    }
  }
}

// A of f32 and of bf16, of any length: the bits of a row begin anywhere.
TEST(GemmParts, LeavesOutWhatIsNotKeptOfA) {
  for (const Isa isa : all_supported_isas()) {
    const IsaScope scope(isa);
    if (!has_bf16_operands(GemmCompute::kBf16)) {
      continue;
    }
    for (const i64 M : {1, 31, 300}) {
      for (const i64 K : {7, 64, 576, 1101, 1700}) {
        const Operands x(M, 12, K, "x");
        const std::vector<u32> kept = drawn(M * K, 0.4F, 4);
        Operands left = x;
        std::vector<u16> narrow(x.a.size());
        f32_to_bf16(x.a, narrow);
        for (i64 i = 0; i < M * K; ++i) {
          left.a[i] = is_set(kept, i) ? x.a[i] : 0.0F;
        }
        GemmArgs args = arguments(x, GemmCompute::kBf16);
        args.a_kept = kept.data();
        const std::vector<float> from_f32 = run(args);
        args.a = nullptr;
        args.a_bf16 = narrow.data();
        EXPECT_EQ(run(args), from_f32) << isa_name(isa) << " " << M << " " << K;
        for (i64 i = 0; i < M * 12; ++i) {
          ASSERT_NEAR(from_f32[i], left.product(i / 12, i % 12, GemmCompute::kBf16),
                      static_cast<double>(K) * 0x1p-22)
              << isa_name(isa) << " " << M << " " << K;
        }
      }
    }
  }
}

// An adapter's inner products of an A of which each has dropped other values, in one walk with the
// outer one.
TEST(GemmParts, InnerProductsLeaveOutWhatIsNotKept) {
  for (const Isa isa : all_supported_isas()) {
    const IsaScope scope(isa);
    if (!has_bf16_operands(GemmCompute::kBf16)) {
      continue;
    }
    for (const i64 K : {64, 1700}) {
      constexpr i64 kRows = 150, kRank = 5;
      const Operands x(kRows, 90, K, "x");
      const std::vector<float> factors[2] = {uniform(kRank * K, "a0"), uniform(kRank * K, "a1")};
      const std::vector<float> back = uniform(90 * kRank, "b");
      const std::vector<u32> kept[2] = {drawn(kRows * K, 0.1F, 5), drawn(kRows * K, 0.5F, 6)};
      const auto results = [&](bool together) {
        std::vector<float> t(kRows * 2 * kRank), y(kRows * 90);
        GemmArgs inner[2], outer = arguments(x, GemmCompute::kBf16);
        GemmTerm more[2];
        for (int j = 0; j < 2; ++j) {
          inner[j] = arguments(x, GemmCompute::kBf16);
          inner[j].N = kRank;
          inner[j].b = dense(factors[j], kRank, K);
          inner[j].b_transposed = true;
          inner[j].a_kept = kept[j].data();
          inner[j].c = t.data() + j * kRank;
          inner[j].c_row_stride = 2 * kRank;
          more[j].K = kRank;
          more[j].a = inner[j].c;
          more[j].a_row_stride = 2 * kRank;
          more[j].b = dense(back, 90, kRank);
          more[j].b_transposed = true;
        }
        outer.more = more;
        outer.c = y.data();
        outer.c_row_stride = 90;
        if (together) {
          std::vector<float> scratch(gemm_low_rank_scratch(inner, {&outer, 1}));
          gemm_low_rank(inner, {&outer, 1}, scratch);
        } else {
          for (const GemmArgs& args : {inner[0], inner[1], outer}) {
            std::vector<float> scratch(gemm_scratch(args));
            gemm(args, scratch);
          }
        }
        t.insert(t.end(), y.begin(), y.end());
        return t;
      };
      EXPECT_EQ(results(true), results(false)) << isa_name(isa) << " " << K;
    }
  }
}

// C is what the sums are without a scale, scaled, and then the bias and the addend.
void expect_scaled(i64 M, i64 N, i64 K, GemmCompute compute) {
  const Operands x(M, N, K, "x"), other(M, N, 8, "short");
  const std::vector<float> scale = uniform(N, "scale"), bias = uniform(N, "bias"),
                           addend = uniform(M * N, "addend");
  GemmTerm more = other.term();
  more.never_int8 = true;
  GemmArgs args = arguments(x, compute);
  args.more = {&more, 1};
  args.alpha = 0.5F;
  const std::vector<float> sums = run(args);
  std::vector<u16> rounded_sums(sums.size()), unscaled_bf16(sums.size());
  f32_to_bf16(sums, rounded_sums);
  std::vector<float> unscaled(sums.size());
  args.scale = scale.data();
  args.unscaled = unscaled.data();
  args.bias = bias.data();
  args.addend = addend.data();
  args.addend_row_stride = N;
  const std::vector<float> c = run(args);
  EXPECT_EQ(unscaled, sums);
  for (i64 i = 0; i < M * N; ++i) {
    ASSERT_EQ(c[i], sums[i] * scale[i % N] + bias[i % N] + addend[i]) << i;
  }
  args.unscaled = nullptr;
  args.unscaled_bf16 = unscaled_bf16.data();
  EXPECT_EQ(run(args), c);
  EXPECT_EQ(unscaled_bf16, rounded_sums);
  if (has_bf16_operands(compute)) {
    std::vector<u16> narrow(c.size()), expected(c.size());
    f32_to_bf16(c, expected);
    args.c_bf16 = narrow.data();
    args.c_row_stride = N;
    std::vector<float> scratch(static_cast<std::size_t>(gemm_scratch(args)));
    gemm(args, scratch);
    EXPECT_EQ(narrow, expected);
  }
}

TEST(GemmParts, ScalesWholeSums) {
  for (const Isa isa : all_supported_isas()) {
    const IsaScope scope(isa);
    for (const GemmCompute compute : kComputes) {
      for (const i64 M : {1, 7, 33, 140}) {
        for (const i64 N : {7, 48, 100}) {
          for (const i64 K : {70, 3500}) {  // one chunk, and several
            ASSERT_NO_FATAL_FAILURE(expect_scaled(M, N, K, compute))
                << isa_name(isa) << " " << M << " " << N << " " << K;
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace inlay::kernels
