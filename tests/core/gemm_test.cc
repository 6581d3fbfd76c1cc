// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <list>
#include <string>
#include <vector>

#include "tests/core/gemm_product.h"
#include "tests/support/isas.h"

namespace inlay::kernels {
namespace {

using inlay::testing::IsaScope;
using inlay::testing::OnEachIsa;

class GemmOnEachIsa : public OnEachIsa {};
INLAY_ON_EACH_ISA(GemmOnEachIsa);

// Sizes around the tiles (8 x 48, 6 x 16, 4 x 8), the scheme for few rows (32), the block of rows
// (128) and the slice of K (768).
TEST_P(GemmOnEachIsa, IsRightAtSizesAroundTheTiles) {
  for (const i64 M : {1, 2, 5, 7, 8, 9, 31, 33, 41, 137}) {
    for (const i64 N : {1, 7, 15, 16, 17, 31, 47, 48, 49, 97, 113}) {
      for (const i64 K : {1, 3, 4, 17, 65}) {
        expect_right({.M = M, .N = N, .K = K, .b_transposed = true});
        expect_right({.M = M, .N = N, .K = K});
        expect_right({.M = M, .N = N, .K = K, .a_transposed = true});
      }
    }
  }
}

TEST_P(GemmOnEachIsa, IsRightWhenKIsCutIntoChunks) {
  for (const i64 K : {767, 768, 769, 1537}) {
    for (const i64 M : {3, 37, 130}) {
      for (const bool transposed : {false, true}) {
        expect_right({.M = M, .N = 53, .K = K, .b_transposed = transposed, .accumulate = true});
        expect_right({.M = M,
                      .N = 53,
                      .K = K,
                      .a_transposed = true,
                      .b_transposed = transposed,
                      .alpha = 0.5F,
                      .bias = true});
      }
    }
  }
}

TEST_P(GemmOnEachIsa, TakesAlphaBiasAndWhatCHeld) {
  for (const i64 M : {4, 64}) {
    for (const float alpha : {1.0F, -0.37F, 0.0F}) {
      for (const bool bias : {false, true}) {
        for (const bool accumulate : {false, true}) {
          expect_right({.M = M,
                        .N = 52,
                        .K = 40,
                        .b_transposed = true,
                        .alpha = alpha,
                        .bias = bias,
                        .accumulate = accumulate});
        }
      }
    }
  }
}

// C = addend + A B + A' B' + ..., each factor dense, computed at once or by one product after the
// other.
class SumOfProducts {
 public:
  SumOfProducts(i64 M, i64 N, const std::vector<i64>& lengths, bool a_transposed)
      : M_(M), N_(N), addend_(M * N) {
    fill_uniform(addend_, RandomKey(7), -1.0F, 1.0F);
    for (const i64 K : lengths) {
      const RandomKey key = RandomKey(8).with(str("term ", terms_.size()));
      std::vector<float>& a = values_.emplace_back(M * K);
      std::vector<float>& b = values_.emplace_back(K * N);
      fill_uniform(a, key.with("a"), -1.0F, 1.0F);
      fill_uniform(b, key.with("b"), -1.0F, 1.0F);
      GemmTerm& term = terms_.emplace_back();
      term.K = K;
      term.a = a.data();
      term.a_row_stride = a_transposed ? 1 : K;
      term.a_col_stride = a_transposed ? M : 1;
      term.b.rows = K;
      term.b.cols = N;
      term.b.data = b.data();
      term.b.row_bytes = N * 4;
    }
  }

  void clear_factor(i64 term) { std::ranges::fill(*std::next(values_.begin(), 2 * term), 0.0F); }

  // The sum of the first `count` terms.
  std::vector<float> computed(i64 count) const {
    std::vector<float> c(M_ * N_);
    GemmArgs args;
    static_cast<GemmTerm&>(args) = terms_[0];
    args.M = M_;
    args.N = N_;
    args.more = std::span(terms_).subspan(1, count - 1);
    args.c = c.data();
    args.c_row_stride = N_;
    args.addend = addend_.data();
    args.addend_row_stride = N_;
    std::vector<float> scratch(gemm_scratch(args));
    gemm(args, scratch);
    return c;
  }

  void expect_right(const std::vector<float>& c) const {
    for (i64 i = 0; i < M_; ++i) {
      for (i64 j = 0; j < N_; ++j) {
        double sum = addend_[i * N_ + j];
        double size = std::abs(sum);
        double additions = 2.0;
        for (const GemmTerm& t : terms_) {
          const auto* b = static_cast<const float*>(t.b.data);
          for (i64 k = 0; k < t.K; ++k) {
            const double product =
                double{t.a[i * t.a_row_stride + k * t.a_col_stride]} * b[k * N_ + j];
            sum += product;
            size += std::abs(product);
          }
          additions += static_cast<double>(t.K) + 1.0;
        }
        // Each addition (fma rounds once) by at most 2^-24 of a value no larger than `size`.
        ASSERT_NEAR(c[i * N_ + j], sum, additions * size * std::ldexp(1.0, -24))
            << "at " << i << ", " << j;
      }
    }
  }

 private:
  i64 M_, N_;
  std::vector<float> addend_;
  std::list<std::vector<float>> values_;
  std::vector<GemmTerm> terms_;
};

TEST_P(GemmOnEachIsa, SumsSeveralProductsOverAnAddend) {
  const ThreadsScope one(1);
  for (const i64 M : {3, 45}) {
    for (const auto& lengths : std::vector<std::vector<i64>>{
             {100, 8}, {8, 8}, {770, 8}, {100, 16, 100, 16}, {5, 4, 3, 2, 1, 6}, {900, 900, 0}}) {
      for (const bool transposed : {false, true}) {
        const SumOfProducts product(M, 53, lengths, transposed);
        ASSERT_NO_FATAL_FAILURE(
            product.expect_right(product.computed(static_cast<i64>(lengths.size()))))
            << M << " rows, first length " << lengths[0] << ", " << transposed;
      }
    }
  }
}

// An adapter whose B is still zero must not be seen.
TEST_P(GemmOnEachIsa, AShortProductOfZerosChangesNoBit) {
  for (const i64 M : {5, 70}) {
    for (const i64 K : {64, 1000}) {
      SumOfProducts product(M, 60, {K, 16}, false);
      product.clear_factor(1);
      EXPECT_TRUE(same_bits(product.computed(2), product.computed(1))) << M << ", " << K;
    }
  }
}

TEST_P(GemmOnEachIsa, AnEmptySumLeavesBiasAndC) {
  for (const i64 M : {2, 40}) {
    expect_right({.M = M, .N = 50, .K = 0});
    expect_right({.M = M, .N = 50, .K = 0, .b_transposed = true, .bias = true});
    expect_right({.M = M, .N = 50, .K = 0, .accumulate = true});
  }
  expect_right({.M = 0, .N = 5, .K = 3});
  expect_right({.M = 5, .N = 0, .K = 3});
  expect_right({.M = 50, .N = 0, .K = 3});
}

TEST_P(GemmOnEachIsa, ReadsEveryFormatInBothDirections) {
  for (int f = 0; f < kMatrixFormats; ++f) {
    const auto format = static_cast<MatrixFormat>(f);
    for (const i64 M : {3, 33}) {
      for (const bool row_map : {false, true}) {
        expect_right({.M = M,
                      .N = 70,
                      .K = 512,
                      .format = format,
                      .b_transposed = true,
                      .row_map = row_map});
        expect_right({.M = M, .N = 512, .K = 70, .format = format, .row_map = row_map});
      }
    }
  }
}

// Few rows of A meet B's rows as they are stored, 48 or 24 side by side, in slices of up to 1536
// values.
TEST_P(GemmOnEachIsa, ReadsStoredRowsOfEveryFormat) {
  for (int f = 0; f < kMatrixFormats; ++f) {
    const auto format = static_cast<MatrixFormat>(f);
    const i64 block = std::max<i64>(32, block_size(format).values);
    for (const i64 N : {1, 15, 17, 23, 25, 32, 48, 67, 97}) {
      for (const i64 M : {1, 2, 4, 5, 8}) {
        expect_right({.M = M, .N = N, .K = block, .format = format, .b_transposed = true});
        expect_right({.M = M,
                      .N = N,
                      .K = 3 * block + 768,
                      .format = format,
                      .b_transposed = true,
                      .alpha = 0.5F,
                      .bias = true,
                      .accumulate = true,
                      .row_map = N > 1});
      }
    }
  }
}

// Blocks are transposed some at a time, and every other one of an odd number of halves lies across
// words: each number of blocks at the end of a slice, and of groups where slices cut a block.
TEST_P(GemmOnEachIsa, ReadsStoredRowsOfAnyNumberOfBlocks) {
  for (int f = 0; f < kMatrixFormats; ++f) {
    const auto format = static_cast<MatrixFormat>(f);
    const i64 block = std::max<i64>(32, block_size(format).values);
    for (const i64 blocks : {2, 3, 4, 5, 6, 7, 8, 9, 13}) {
      for (const i64 M : {1, 3}) {
        expect_right(
            {.M = M, .N = 50, .K = blocks * block, .format = format, .b_transposed = true});
      }
    }
  }
}

// The scales' own blocks begin and end inside rows.
TEST_P(GemmOnEachIsa, ReadsStoredRowsWithScalesThatAreCodes) {
  const i64 N = 50, K = 1664;
  const inlay::testing::RandomMatrix b({.format = MatrixFormat::kFourBit,
                                        .rows = N,
                                        .cols = K,
                                        .four_bit_block = 64,
                                        .double_quant = true},
                                       RandomKey(3));
  std::vector<float> x(K), y(N), row(K);
  fill_uniform(x, RandomKey(4), -1.0F, 1.0F);
  GemmArgs args;
  args.M = 1;
  args.N = N;
  args.K = K;
  args.a = x.data();
  args.a_row_stride = K;
  args.b = b.ref;
  args.b_transposed = true;
  args.c = y.data();
  args.c_row_stride = N;
  gemm(args, {});
  for (i64 n = 0; n < N; ++n) {
    decode_row(b.ref, n, 0, K, row.data());
    double sum = 0.0, size = 0.0;
    for (i64 k = 0; k < K; ++k) {
      sum += double{x[k]} * row[k];
      size += std::abs(double{x[k]} * row[k]);
    }
    // K products and K additions, each rounded by at most 2^-24 of a value no larger than `size`.
    EXPECT_NEAR(y[n], sum, 2.0 * static_cast<double>(K) * size * std::ldexp(1.0, -24)) << n;
  }
}

TEST_P(GemmOnEachIsa, ReadsStoredDenseRowsOfAnyLength) {
  for (const MatrixFormat format : {MatrixFormat::kF32, MatrixFormat::kBf16, MatrixFormat::kF16}) {
    for (const i64 K : {1, 2, 3, 5, 7, 8, 9, 31, 63, 771, 1543}) {
      for (const i64 M : {1, 3}) {
        expect_right({.M = M, .N = 35, .K = K, .format = format, .b_transposed = true});
      }
    }
  }
}

TEST_P(GemmOnEachIsa, ReadsFourBitRowsThatStartAnywhere) {
  for (const i64 width : {5, 33, 79}) {  // odd, and not a multiple of the block of 32
    for (const i64 M : {3, 40}) {
      expect_right(
          {.M = M, .N = 50, .K = width, .format = MatrixFormat::kFourBit, .b_transposed = true});
      expect_right({.M = M, .N = width, .K = 50, .format = MatrixFormat::kFourBit});
    }
  }
}

// Two blocks of columns, two chunks of K, two blocks of rows, several groups of panels; and the
// scheme for few rows.
struct LargeProduct {
  explicit LargeProduct(const ProductCase& c)
      : name(text(c)), product(c), by_eigen(product.by_reference()) {}

  std::string name;
  Product product;
  std::vector<float> by_eigen;
};

const std::list<LargeProduct>& large_products() {
  static const std::list<LargeProduct> products = [] {
    std::list<LargeProduct> out;
    for (const ProductCase& c : std::vector<ProductCase>{
             {.M = 150, .N = 1400, .K = 1500, .b_transposed = true, .bias = true},
             {.M = 150, .N = 1400, .K = 1500, .accumulate = true},
             {.M = 150, .N = 1400, .K = 1500, .a_transposed = true, .alpha = 0.5F},
             {.M = 9, .N = 1400, .K = 1500, .b_transposed = true},
             {.M = 9, .N = 1400, .K = 1500, .a_transposed = true}}) {
      out.emplace_back(c);
    }
    return out;
  }();
  return products;
}

TEST_P(GemmOnEachIsa, AgreesWithEigenOnLargeProducts) {
  for (const LargeProduct& large : large_products()) {
    const std::vector<float> ours = large.product.computed();
    const std::vector<float> theirs = large.product.by_reference();
    float worst = 0.0F;
    for (size_t i = 0; i < ours.size(); ++i) {
      const float difference = std::abs(ours[i] - theirs[i]);
      worst = std::isnan(difference) ? worst : std::max(worst, difference);
    }
    // Sums of 1500 products of numbers below 1 (their standard deviation is 13), each rounded 1500
    // times by 2^-24 of at most about 40: 4e-3 at worst, both sides.
    EXPECT_LT(worst, 8e-3F) << large.name;
  }
}

TEST_P(GemmOnEachIsa, GivesTheSameBitsAtAnyThreadCount) {
  for (const LargeProduct& large : large_products()) {
    std::vector<float> one;
    for (const int threads : {1, 2, 4, 7}) {
      const ThreadsScope scope(threads);
      const std::vector<float> c = large.product.computed();
      one = one.empty() ? c : one;
      EXPECT_TRUE(same_bits(c, one)) << large.name << ", threads " << threads;
    }
  }
}

void expect_rows_alone_alike(const ProductCase& c) {
  const ThreadsScope one(1);
  const Product product(c);
  const std::vector<float> all = product.computed();
  const i64 stride = c.N + 3;
  for (const i64 count : {1, 2, 3, 7, 8, 33, 64, 256}) {
    for (const i64 row : {i64{0}, c.M - count}) {
      const std::vector<float> alone = product.rows_alone(row, count);
      const std::vector<float> expected(
          all.begin() + row * stride, all.begin() + row * stride + static_cast<i64>(alone.size()));
      EXPECT_TRUE(same_bits(alone, expected)) << text(c) << " rows " << row << " + " << count;
    }
  }
}

TEST_P(GemmOnEachIsa, ARowHasTheSameBitsWhateverStandsBesideIt) {
  for (const MatrixFormat format :
       {MatrixFormat::kF32, MatrixFormat::kBf16, MatrixFormat::kFourBit}) {
    for (const i64 N : {16, 61, 200}) {
      expect_rows_alone_alike(
          {.M = 270, .N = N, .K = 900, .format = format, .b_transposed = true, .bias = true});
      expect_rows_alone_alike({.M = 270, .N = N, .K = 900, .format = format, .accumulate = true});
      expect_rows_alone_alike({.M = 270, .N = N, .K = 900, .format = format, .a_transposed = true});
    }
  }
}

// A sequence must continue alike alone, in a small batch and in a large one.
TEST_P(GemmOnEachIsa, ARowHasTheSameBitsInEveryFormatWhateverStandsBesideIt) {
  for (int f = 0; f < kMatrixFormats; ++f) {
    for (const bool row_map : {false, true}) {
      expect_rows_alone_alike({.M = 256,
                               .N = 70,
                               .K = 1024,
                               .format = static_cast<MatrixFormat>(f),
                               .b_transposed = true,
                               .bias = true,
                               .row_map = row_map});
    }
  }
}

// Projections of one input, as a decoder computes them; and, of more rows, one after the other.
TEST_P(GemmOnEachIsa, ProductsTogetherHaveTheBitsOfEachAlone) {
  for (const i64 M : {1, 3, 40}) {
    const Product products[] = {
        Product({.M = M, .N = 200, .K = 320, .format = MatrixFormat::kQ4_1, .b_transposed = true}),
        Product({.M = M, .N = 7, .K = 320, .b_transposed = true, .bias = true}),
        Product({.M = M, .N = 90, .K = 1000, .format = MatrixFormat::kF16, .b_transposed = true})};
    std::vector<std::vector<float>> together(3);
    std::vector<GemmArgs> args;
    for (size_t i = 0; i < 3; ++i) {
      args.push_back(products[i].arguments_for(together[i]));
    }
    std::vector<float> scratch(gemm_together_scratch(args));
    gemm_together(args, scratch);
    for (size_t i = 0; i < 3; ++i) {
      EXPECT_TRUE(same_bits(together[i], products[i].computed())) << M << ", product " << i;
    }
  }
}

TEST(Gemm, Avx2AndAvx512GiveTheSameBits) {
  if (!isa_supported(Isa::kAvx512)) {
    GTEST_SKIP() << "no AVX-512 here";
  }
  for (const LargeProduct& large : large_products()) {
    std::vector<float> results[2];
    for (const int wide : {0, 1}) {
      const IsaScope scope(wide == 1 ? Isa::kAvx512 : Isa::kAvx2);
      results[wide] = large.product.computed();
    }
    EXPECT_TRUE(same_bits(results[0], results[1])) << large.name;
  }
}

TEST(Gemm, Avx2AndAvx512GiveTheSameBitsToAFewRowsOfEveryFormat) {
  if (!isa_supported(Isa::kAvx512)) {
    GTEST_SKIP() << "no AVX-512 here";
  }
  for (int f = 0; f < kMatrixFormats; ++f) {
    const Product product(
        {.M = 3, .N = 71, .K = 1024, .format = static_cast<MatrixFormat>(f), .b_transposed = true});
    std::vector<float> results[2];
    for (const int wide : {0, 1}) {
      const IsaScope scope(wide == 1 ? Isa::kAvx512 : Isa::kAvx2);
      results[wide] = product.computed();
    }
    EXPECT_TRUE(same_bits(results[0], results[1])) << format_name(static_cast<MatrixFormat>(f));
  }
}

TEST(Gemm, ScratchIsBoundedWhateverTheSizes) {
  const i64 bound = (i64{1} << 20) + 16 + num_threads() * (i64{128} * 768);
  for (const i64 M : {1, 33, 256, 1 << 20}) {
    for (const i64 N : {1, 576, 49152, 1 << 20}) {
      for (const i64 K : {1, 16, 576, 8192, 1 << 20}) {
        GemmArgs args;
        args.M = M;
        args.N = N;
        args.K = K;
        EXPECT_LE(gemm_scratch(args), bound) << M << " " << N << " " << K;
      }
    }
  }
}

}  // namespace
}  // namespace inlay::kernels
