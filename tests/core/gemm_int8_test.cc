// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <limits>
#include <list>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/kernels/convert.h"
#include "core/kernels/cpu/products/gemm_schemes.h"
#include "core/kernels/cpu/products/matrix_decode.h"
#include "core/kernels/gemm.h"
#include "core/parallel.h"
#include "core/random.h"
#include "tests/support/isas.h"
#include "tests/support/random_matrix.h"

namespace inlay::kernels {
namespace {

using inlay::testing::all_supported_isas;
using inlay::testing::IsaScope;
using inlay::testing::RandomMatrix;

struct Int8Case {
  i64 M = 1, N = 1, K = 1;
  RandomMatrix::Options b = {};  // its rows and columns follow from the rest
  bool a_transposed = false;
  bool b_transposed = false;
  float alpha = 1.0F;
  bool bias = false;
  bool addend = false;
};

std::string int8_text(const Int8Case& c) {
  return str("M ", c.M, " N ", c.N, " K ", c.K, " ", format_name(c.b.format), " ",
             c.b.four_bit_block, c.a_transposed ? " A^T" : "", c.b_transposed ? " B^T" : "",
             " alpha ", c.alpha, c.bias ? " bias" : "", c.addend ? " addend" : "",
             c.b.mapped ? " mapped" : "");
}

// ---- the definition in gemm.h, word for word

struct Codes {
  std::vector<float> codes;   // one a value
  std::vector<float> scales;  // one a block

  float scale(i64 k) const { return scales[k / 64]; }
};

Codes quantised(const std::vector<float>& values) {
  Codes out;
  for (std::size_t begin = 0; begin < values.size(); begin += 64) {
    const std::size_t end = std::min(values.size(), begin + 64);
    float absmax = 0.0F;
    bool finite = true;
    for (std::size_t k = begin; k < end; ++k) {
      finite = finite && std::isfinite(values[k]);
      absmax = std::max(absmax, std::abs(values[k]));
    }
    const bool zero = !finite || absmax < 0x1p-100F;
    out.scales.push_back(!finite ? std::numeric_limits<float>::quiet_NaN()
                                 : (zero ? 0.0F : absmax / 127.0F));
    for (std::size_t k = begin; k < end; ++k) {
      out.codes.push_back(zero ? 0.0F : std::nearbyint(values[k] * (127.0F / absmax)));
    }
  }
  return out;
}

// Steps [k, k + K) of row `row` of a 4-bit matrix, whose blocks lie along them.
Codes translated(const MatrixRef& m, i64 row, i64 k, i64 K) {
  const float* code = m.four_bit.code;
  float largest = 0.0F;
  for (i64 q = 0; q < 16; ++q) {
    largest = std::max(largest, std::abs(code[q]));
  }
  Codes out;
  const i64 first = (m.row_map != nullptr ? m.row_map[row] : row) * m.cols + k;
  for (i64 i = first; i < first + K; ++i) {
    const u8 pair = static_cast<const u8*>(m.data)[i / 2];
    const int nibble = i % 2 == 0 ? pair >> 4 : pair & 15;
    out.codes.push_back(std::nearbyint(code[nibble] * (127.0F / largest)));
    if ((i - first) % 64 == 0) {
      out.scales.push_back(four_bit_scale(m.four_bit, i / m.four_bit.block_size) *
                           (largest / 127.0F));
    }
  }
  return out;
}

float rounded_to_bf16(float value) {
  u16 bits = 0;
  f32_to_bf16({&value, 1}, {&bits, 1});
  bf16_to_f32({&bits, 1}, {&value, 1});
  return value;
}

// Row i of A, and column j of B, within a piece.
std::vector<float> a_values(const Piece& piece, i64 i) {
  const GemmTerm& t = *piece.term;
  std::vector<float> out;
  for (i64 k = piece.k; k < piece.k + piece.K; ++k) {
    out.push_back(t.a[i * t.a_row_stride + k * t.a_col_stride]);
  }
  return out;
}

std::vector<float> b_values(const Piece& piece, i64 j) {
  const GemmTerm& t = *piece.term;
  std::vector<float> out(piece.K);
  if (t.b_transposed) {
    decode_row(t.b, j, piece.k, piece.K, out.data());
    return out;
  }
  for (i64 k = 0; k < piece.K; ++k) {
    decode_row(t.b, piece.k + k, j, 1, &out[k]);
  }
  return out;
}

Codes b_codes(const Piece& piece, i64 j) {
  const MatrixRef& b = piece.term->b;
  const bool along = piece.term->b_transposed && b.format == MatrixFormat::kFourBit &&
                     b.four_bit.block_size % 64 == 0 && b.cols % 64 == 0;
  return along ? translated(b, j, piece.k, piece.K) : quantised(b_values(piece, j));
}

// Adds the steps of a piece to sums [M, N].
void add_by_definition(const Piece& piece, i64 M, i64 N, std::vector<float>& sums) {
  std::vector<Codes> rows;
  std::vector<std::vector<float>> exact_rows;
  for (i64 i = 0; i < M; ++i) {
    exact_rows.push_back(a_values(piece, i));
    rows.push_back(quantised(exact_rows.back()));
  }
  for (i64 j = 0; j < N; ++j) {
    const std::vector<float> exact = b_values(piece, j);
    const Codes column = b_codes(piece, j);
    for (i64 i = 0; i < M; ++i) {
      float& sum = sums[i * N + j];
      for (i64 k = 0; k < piece.K; ++k) {
        if (piece.term->never_int8) {
          sum = std::fma(rounded_to_bf16(exact_rows[i][k]), rounded_to_bf16(exact[k]), sum);
        } else if (k % 64 == 0) {
          double whole = 0.0;
          for (i64 s = k; s < std::min(k + 64, piece.K); ++s) {
            whole += static_cast<double>(rows[i].codes[s]) * column.codes[s];
          }
          sum = std::fma(static_cast<float>(whole), rows[i].scale(k) * column.scale(k), sum);
        }
      }
    }
  }
}

std::vector<float> by_definition(const GemmArgs& args) {
  std::vector<float> c(args.M * args.N);
  for_chunks(args, [&](const Chunk& chunk) {
    std::vector<float> sums(c.size());
    for (i64 p = 0; p < chunk.count; ++p) {
      add_by_definition(chunk.pieces[p], args.M, args.N, sums);
    }
    for (i64 i = 0; i < args.M; ++i) {
      for (i64 j = 0; j < args.N; ++j) {
        float& out = c[i * args.N + j];
        const float before = out;
        out = args.alpha * sums[i * args.N + j];
        if (!chunk.first) {
          out += before;
          continue;
        }
        out += args.bias != nullptr ? args.bias[j] : 0.0F;
        out += args.addend != nullptr ? args.addend[i * args.addend_row_stride + j] : 0.0F;
      }
    }
  });
  return c;
}

// ---- products

// One, with its operands; terms may be added to it.
class Int8Product {
 public:
  explicit Int8Product(const Int8Case& c, u64 seed = 1) : key_(RandomKey(seed)) {
    args_.M = c.M;
    args_.N = c.N;
    args_.alpha = c.alpha;
    args_.compute = GemmCompute::kInt8;
    static_cast<GemmTerm&>(args_) = term(c.K, c.b, c.a_transposed, c.b_transposed);
    if (c.bias) {
      args_.bias = numbers(c.N).data();
    }
    if (c.addend) {
      args_.addend = numbers(c.M * c.N).data();
      args_.addend_row_stride = c.N;
    }
  }

  void add_term(i64 K, bool never_int8, bool a_transposed, bool b_transposed) {
    more_.push_back(term(K, {}, a_transposed, b_transposed));
    more_.back().never_int8 = never_int8;
    args_.more = more_;
  }

  float* a() { return numbers_.front().data(); }
  const GemmArgs& args() const { return args_; }

  std::vector<float> computed() const { return rows(0, args_.M); }

  std::vector<float> rows(i64 first, i64 count) const {
    std::vector<float> c(count * args_.N);
    GemmArgs args = args_;
    args.a += first * args.a_row_stride;
    args.M = count;
    args.c = c.data();
    args.c_row_stride = args.N;
    args.addend = args.addend == nullptr ? nullptr : args.addend + first * args.addend_row_stride;
    std::vector<float> scratch(gemm_scratch(args));
    gemm(args, scratch);
    return c;
  }

 private:
  std::vector<float>& numbers(i64 count) {
    std::vector<float>& out = numbers_.emplace_back(count);
    fill_uniform(out, key_.with(numbers_.size()), -1.0F, 1.0F);
    return out;
  }

  GemmTerm term(i64 K, RandomMatrix::Options b, bool a_transposed, bool b_transposed) {
    GemmTerm out;
    out.K = K;
    out.a = numbers(args_.M * K).data();
    out.a_row_stride = a_transposed ? 1 : K;
    out.a_col_stride = a_transposed ? args_.M : 1;
    b.rows = b_transposed ? args_.N : K;
    b.cols = b_transposed ? K : args_.N;
    out.b = matrices_.emplace_back(b, key_.with("b").with(matrices_.size())).ref;
    out.b_transposed = b_transposed;
    return out;
  }

  RandomKey key_;
  GemmArgs args_;
  std::vector<GemmTerm> more_;
  std::list<std::vector<float>> numbers_;
  std::list<RandomMatrix> matrices_;
};

// The first place where they differ, or -1; NaNs are all alike.
i64 first_difference(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    const bool alike =
        std::isnan(a[i]) ? std::isnan(b[i]) : std::bit_cast<u32>(a[i]) == std::bit_cast<u32>(b[i]);
    if (!alike) {
      return static_cast<i64>(i);
    }
  }
  return -1;
}

void expect_as_defined(const Int8Product& product, const std::string& text) {
  const std::vector<float> expected = by_definition(product.args());
  for (const Isa isa : all_supported_isas()) {
    const IsaScope scope(isa);
    const std::vector<float> c = product.computed();
    const i64 i = first_difference(c, expected);
    ASSERT_EQ(i, -1) << text << " " << isa_name(isa) << ": " << c[i] << " for " << expected[i];
  }
}

void expect_as_defined(const Int8Case& c) {
  expect_as_defined(Int8Product(c), int8_text(c));
}

class Int8ThreadsScope {
 public:
  explicit Int8ThreadsScope(int count) : before_(num_threads()) { set_num_threads(count); }
  ~Int8ThreadsScope() { set_num_threads(before_); }
  Int8ThreadsScope(const Int8ThreadsScope&) = delete;
  Int8ThreadsScope& operator=(const Int8ThreadsScope&) = delete;

 private:
  int before_;
};

// Sizes around the tiles (7 x 32, 8 x 16, 4 x 16), the run of rows (64 to 70) and the block (64).
TEST(GemmOfInt8, IsAsDefinedAtSizesAroundTheTiles) {
  const Int8ThreadsScope one(1);
  for (const i64 M : {1, 7, 8, 9, 71}) {
    for (const i64 N : {1, 15, 16, 17, 31, 32, 33, 65}) {
      for (const i64 K : {1, 3, 4, 63, 64, 65, 130}) {
        for (const bool a_transposed : {false, true}) {
          ASSERT_NO_FATAL_FAILURE(expect_as_defined({.M = M,
                                                     .N = N,
                                                     .K = K,
                                                     .a_transposed = a_transposed,
                                                     .b_transposed = (M + N + K) % 2 == 0}));
        }
      }
    }
  }
}

// Three slices of the contraction, several groups of panels.
TEST(GemmOfInt8, IsAsDefinedWhenCutAndInEveryFormat) {
  for (int f = 0; f < kMatrixFormats; ++f) {
    for (const bool transposed : {false, true}) {
      ASSERT_NO_FATAL_FAILURE(
          expect_as_defined({.M = 10,
                             .N = transposed ? 101 : 1792,
                             .K = transposed ? 1792 : 101,
                             .b = {.format = static_cast<MatrixFormat>(f), .mapped = true},
                             .b_transposed = transposed,
                             .alpha = 0.5F,
                             .bias = true,
                             .addend = true}));
    }
  }
}

TEST(GemmOfInt8, TakesTheCodesOfFourBitBlocksThatLieAlongTheContraction) {
  for (const i64 block : {32, 64, 128, 256}) {
    for (const i64 K : {64, 320, 832, 100}) {
      for (const bool transposed : {false, true}) {
        for (const bool double_quant : {false, true}) {
          ASSERT_NO_FATAL_FAILURE(expect_as_defined({.M = 9,
                                                     .N = 37,
                                                     .K = K,
                                                     .b = {.format = MatrixFormat::kFourBit,
                                                           .mapped = double_quant,
                                                           .four_bit_block = block,
                                                           .double_quant = double_quant},
                                                     .b_transposed = transposed}));
        }
      }
    }
  }
}

TEST(GemmOfInt8, SumsSeveralProductsSomeOfThemExact) {
  struct Term {
    i64 K;
    bool never_int8;
  };
  for (const auto& terms : std::vector<std::vector<Term>>{{{8, true}},
                                                          {{16, true}, {200, true}},
                                                          {{192, false}, {576, false}, {24, true}},
                                                          {{3, true}, {5, false}, {70, true}},
                                                          {{900, true}, {0, false}, {1, false}}}) {
    for (const bool transposed : {false, true}) {
      Int8Product product({.M = 23,
                           .N = 50,
                           .K = 576,
                           .b_transposed = transposed,
                           .alpha = 0.75F,
                           .bias = true,
                           .addend = true});
      std::string text;
      for (const Term& t : terms) {
        product.add_term(t.K, t.never_int8, transposed, !transposed);
        text += str(t.K, t.never_int8 ? " never int8 " : " ");
      }
      ASSERT_NO_FATAL_FAILURE(expect_as_defined(product, text));
    }
  }
}

TEST(GemmOfInt8, AnExactProductIsThatOfBf16Operands) {
  Int8Product product({.M = 5, .N = 40, .K = 0});
  product.add_term(48, true, false, true);
  const GemmTerm& term = product.args().more[0];
  const std::vector<float> c = product.computed();
  for (i64 i = 0; i < 5; ++i) {
    for (i64 j = 0; j < 40; ++j) {
      double sum = 0.0;
      for (i64 k = 0; k < 48; ++k) {
        sum += static_cast<double>(rounded_to_bf16(term.a[i * 48 + k])) *
               rounded_to_bf16(b_values({&term, 0, 48}, j)[k]);
      }
      // 48 additions, each rounded by 2^-24 of at most 48
      EXPECT_NEAR(c[i * 40 + j], sum, 48.0 * 48.0 * 0x1p-24);
    }
  }
}

TEST(GemmOfInt8, NothingIsSummedOverNoSteps) {
  expect_as_defined({.M = 3, .N = 40, .K = 0, .bias = true, .addend = true});
  Int8Product none({.M = 0, .N = 40, .K = 8});
  EXPECT_TRUE(none.computed().empty());
}

TEST(GemmOfInt8, GivesTheSameBitsAtAnyThreadCount) {
  for (const bool transposed : {false, true}) {
    Int8Product product({.M = 300,
                         .N = 700,
                         .K = 896,
                         .b = {.format = MatrixFormat::kFourBit, .four_bit_block = 64},
                         .b_transposed = transposed});
    product.add_term(16, true, false, false);
    for (const Isa isa : all_supported_isas()) {
      const IsaScope scope(isa);
      std::vector<float> alone;
      for (const int threads : {1, 2, 5}) {
        const Int8ThreadsScope many(threads);
        const std::vector<float> c = product.computed();
        alone = alone.empty() ? c : alone;
        EXPECT_EQ(first_difference(c, alone), -1) << isa_name(isa) << ", " << threads;
      }
    }
  }
}

TEST(GemmOfInt8, ARowHasTheSameBitsWhateverStandsBesideIt) {
  const Int8Product product({.M = 200, .N = 90, .K = 900, .b_transposed = true, .addend = true});
  for (const Isa isa : all_supported_isas()) {
    const IsaScope scope(isa);
    const std::vector<float> all = product.computed();
    for (const i64 count : {1, 2, 7, 33, 64}) {
      for (const i64 first : {i64{0}, 200 - count}) {
        const std::vector<float> expected(all.begin() + first * 90,
                                          all.begin() + (first + count) * 90);
        EXPECT_EQ(first_difference(product.rows(first, count), expected), -1)
            << isa_name(isa) << ", rows " << first << " + " << count;
      }
    }
  }
}

// A code is off by at most half (and the roundings of f32): a = s q + d with |d| <= s / 2, so
// |a b - s q t p| <= |a| t / 2 + |b| s / 2 + s t / 4.
TEST(GemmOfInt8, StaysWithinHalfACodeOfTheUnroundedProduct) {
  const Int8Product product({.M = 40, .N = 50, .K = 500});
  const Piece whole = {&product.args(), 0, 500};
  const std::vector<float> c = product.computed();
  double error = 0.0;
  double size = 0.0;
  for (i64 i = 0; i < 40; ++i) {
    const std::vector<float> a = a_values(whole, i);
    const Codes row = quantised(a);
    for (i64 j = 0; j < 50; ++j) {
      const std::vector<float> b = b_values(whole, j);
      const Codes column = quantised(b);
      double sum = 0.0;
      double bound = 0.0;
      for (i64 k = 0; k < 500; ++k) {
        const double s = row.scale(k);
        const double t = column.scale(k);
        sum += static_cast<double>(a[k]) * b[k];
        bound += (std::abs(a[k]) * t + std::abs(b[k]) * s) / 2.0 + s * t / 4.0;
      }
      // 1e-5 on top: a few roundings of 2^-24 of the codes' 127, and of the sums
      ASSERT_NEAR(c[i * 50 + j], sum, 1.00001 * bound);
      error += (c[i * 50 + j] - sum) * (c[i * 50 + j] - sum);
      size += sum * sum;
    }
  }
  // Uniform values: a factor's error has the variance s^2 / 12 with s close to 1 / 127, its value
  // 1 / 3; sqrt(2) of such errors is 0.56 %.
  EXPECT_LT(std::sqrt(error / size), 0.006);
  EXPECT_GT(std::sqrt(error / size), 0.004) << "nothing was rounded";
}

TEST(GemmOfInt8, WhatIsNotFiniteBecomesNanInItsRowAlone) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
        -std::numeric_limits<float>::infinity()}) {
    for (const bool a_transposed : {false, true}) {
      Int8Product product({.M = 10, .N = 20, .K = 150, .a_transposed = a_transposed});
      product.a()[a_transposed ? 70 * 10 + 4 : 4 * 150 + 70] = bad;
      for (const Isa isa : all_supported_isas()) {
        const IsaScope scope(isa);
        const std::vector<float> c = product.computed();
        for (i64 i = 0; i < 200; ++i) {
          ASSERT_EQ(std::isnan(c[i]), i / 20 == 4) << isa_name(isa) << ", " << i;
        }
      }
    }
  }
}

TEST(GemmOfInt8, AWeightThatIsNotFiniteMakesNansOfItsColumn) {
  for (const bool b_transposed : {false, true}) {
    Int8Product product({.M = 10, .N = 20, .K = 150, .b_transposed = b_transposed});
    std::vector<float> values(3000, 0.5F);
    values[b_transposed ? 4 * 150 + 70 : 70 * 20 + 4] = -std::numeric_limits<float>::infinity();
    GemmArgs args = product.args();
    args.b.data = values.data();
    args.b.row_bytes = b_transposed ? 600 : 80;
    std::vector<float> c(200);
    args.c = c.data();
    args.c_row_stride = 20;
    for (const Isa isa : all_supported_isas()) {
      const IsaScope scope(isa);
      std::vector<float> scratch(gemm_scratch(args));
      gemm(args, scratch);
      for (i64 i = 0; i < 200; ++i) {
        ASSERT_EQ(std::isnan(c[i]), i % 20 == 4) << isa_name(isa) << ", " << i;
      }
    }
  }
}

TEST(GemmOfInt8, TheSmallestAndTheLargestNumbersHaveCodes) {
  for (const float size : {0.0F, 1e-45F, 0x1p-101F, 0x1p-100F, 1e-20F, 1e20F, 3e38F}) {
    Int8Product product({.M = 9, .N = 33, .K = 100, .b_transposed = true});
    for (i64 i = 0; i < 900; ++i) {
      product.a()[i] *= size;
    }
    ASSERT_NO_FATAL_FAILURE(expect_as_defined(product, str("times ", size)));
    if (size < 0x1p-100F) {
      for (const float c : product.computed()) {
        ASSERT_EQ(c, 0.0F);
      }
    }
  }
}

TEST(GemmOfInt8, ScratchIsBoundedWhateverTheSizes) {
  for (const i64 M : {1, 33, 256, 1 << 16}) {
    for (const i64 N : {1, 576, 49152}) {
      for (const i64 K : {1, 16, 576, 8192, 1 << 16}) {
        GemmArgs args;
        args.M = M;
        args.N = N;
        args.K = K;
        args.compute = GemmCompute::kInt8;
        // The codes of a slice of A, at most 16 bits each, and its scales; 4 MB of panels.
        const i64 rows = ((M + 69) / 70 * 70) * (3072 / 64) * (2 * 64 + 16) / 4;
        EXPECT_LE(gemm_scratch(args), rows + 64 + (i64{1} << 20)) << M << " " << N << " " << K;
      }
    }
  }
}

}  // namespace
}  // namespace inlay::kernels
