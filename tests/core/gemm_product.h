// SPDX-License-Identifier: Apache-2.0
#pragma once

// Products with random operands, and what is right.

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/kernels/convert.h"
#include "core/kernels/gemm.h"
#include "core/parallel.h"
#include "core/random.h"
#include "tests/support/random_matrix.h"

namespace inlay::kernels {

inline constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

struct ProductCase {
  i64 M = 1, N = 1, K = 1;
  MatrixFormat format = MatrixFormat::kF32;
  bool a_transposed = false;
  bool b_transposed = false;
  float alpha = 1.0F;
  bool bias = false;
  bool accumulate = false;
  bool row_map = false;
  GemmCompute compute = GemmCompute::kF32;
};

inline std::string text(const ProductCase& c) {
  return str("M ", c.M, " N ", c.N, " K ", c.K, " ", format_name(c.format),
             c.a_transposed ? " A^T" : "", c.b_transposed ? " B^T" : "", " alpha ", c.alpha,
             c.bias ? " bias" : "", c.accumulate ? " accumulate" : "", c.row_map ? " row_map" : "",
             c.compute == GemmCompute::kBf16 ? " rounded to bf16" : "");
}

// A product with its operands. A and C have spare columns full of NaN between their rows, which
// must be neither used nor written.
class Product {
 public:
  explicit Product(const ProductCase& c, u64 seed = 1)
      : case_(c),
        b_({.format = c.format,
            .rows = c.b_transposed ? c.N : c.K,
            .cols = c.b_transposed ? c.K : c.N,
            .mapped = c.row_map},
           RandomKey(seed).with("b")),
        a_stride_((c.a_transposed ? c.M : c.K) + kGap),
        a_(padded(c.a_transposed ? c.K : c.M, c.a_transposed ? c.M : c.K,
                  RandomKey(seed).with("a"))),
        c0_(padded(c.M, c.N, RandomKey(seed).with("c"))),
        bias_(c.N) {
    fill_uniform(bias_, RandomKey(seed).with("bias"), -1.0F, 1.0F);
  }

  // The product into `c`, which is made to fit.
  GemmArgs arguments_for(std::vector<float>& c) const {
    c = c0_;
    return arguments(c.data());
  }

  // C, with its gaps.
  std::vector<float> computed() const {
    std::vector<float> c = c0_;
    const GemmArgs args = arguments(c.data());
    std::vector<float> scratch(gemm_scratch(args));
    gemm(args, scratch);
    return c;
  }

  // The same with B prepacked.
  std::vector<float> computed_prepacked() const {
    std::vector<float> c = c0_;
    GemmArgs args = arguments(c.data());
    std::vector<float> panels(panels_floats(b_.ref, case_.b_transposed, case_.compute));
    pack_panels(b_.ref, case_.b_transposed, case_.compute, panels);
    PackedPanels places;
    places.compute = case_.compute;
    (case_.b_transposed ? places.transposed : places.straight) = panels.data();
    args.b.panels = &places;
    args.b.data = nullptr;  // what is prepacked is not read again
    std::vector<float> scratch(gemm_scratch(args));
    gemm(args, scratch);
    return c;
  }

  std::vector<float> by_reference() const {
    std::vector<float> c = c0_;
    reference::gemm(arguments(c.data()));
    return c;
  }

  // Rows [row, row + count) computed alone, without gaps.
  std::vector<float> rows_alone(i64 row, i64 count) const {
    std::vector<float> c(c0_);
    GemmArgs args = arguments(c.data() + row * (case_.N + kGap));
    args.a += row * args.a_row_stride;
    args.M = count;
    std::vector<float> scratch(gemm_scratch(args));
    gemm(args, scratch);
    return {args.c, args.c + (count - 1) * args.c_row_stride + case_.N};
  }

  void expect_right(const std::vector<float>& c) const {
    const std::vector<float> b = decoded_b();
    for (i64 i = 0; i < case_.M; ++i) {
      ASSERT_NO_FATAL_FAILURE(expect_row(c, b, i));
    }
  }

 private:
  static constexpr i64 kGap = 3;

  static std::vector<float> padded(i64 rows, i64 cols, RandomKey key) {
    std::vector<float> out(rows * (cols + kGap));
    fill_uniform(out, key, -1.0F, 1.0F);
    for (i64 r = 0; r < rows; ++r) {
      std::fill_n(out.begin() + r * (cols + kGap) + cols, kGap, kNan);
    }
    return out;
  }

  GemmArgs arguments(float* c) const {
    GemmArgs args;
    args.M = case_.M;
    args.N = case_.N;
    args.K = case_.K;
    args.a = a_.data();
    args.a_row_stride = case_.a_transposed ? 1 : a_stride_;
    args.a_col_stride = case_.a_transposed ? a_stride_ : 1;
    args.b = b_.ref;
    args.b_transposed = case_.b_transposed;
    args.compute = case_.compute;
    args.c = c;
    args.c_row_stride = case_.N + kGap;
    args.alpha = case_.alpha;
    args.bias = case_.bias ? bias_.data() : nullptr;
    if (case_.accumulate) {
      args.addend = c;
      args.addend_row_stride = args.c_row_stride;
    }
    return args;
  }

  // [K, N]
  std::vector<float> decoded_b() const {
    std::vector<float> b(case_.K * case_.N), row(std::max(case_.K, case_.N));
    for (i64 r = 0; r < b_.ref.rows; ++r) {
      decode_row(b_.ref, r, 0, b_.ref.cols, row.data());
      for (i64 col = 0; col < b_.ref.cols; ++col) {
        (case_.b_transposed ? b[col * case_.N + r] : b[r * case_.N + col]) = as_used(row[col]);
      }
    }
    return b;
  }

  // An operand as it is multiplied.
  float as_used(float value) const {
    if (case_.compute == GemmCompute::kF32) {
      return value;
    }
    u16 rounded = 0;
    f32_to_bf16({&value, 1}, {&rounded, 1});
    bf16_to_f32({&rounded, 1}, {&value, 1});
    return value;
  }

  void expect_row(const std::vector<float>& c, const std::vector<float>& b, i64 i) const {
    std::vector<double> sum(case_.N), size(case_.N);  // of the products, of their magnitudes
    for (i64 k = 0; k < case_.K; ++k) {
      const double a = as_used(case_.a_transposed ? a_[k * a_stride_ + i] : a_[i * a_stride_ + k]);
      for (i64 j = 0; j < case_.N; ++j) {
        const double term = a * b[k * case_.N + j];
        sum[j] += term;
        size[j] += std::abs(term);
      }
    }
    // K products and K additions, each rounded by at most 2^-24 of a value no larger than `size`
    // (fma rounds once), then the chunks' sums, alpha, bias and C.
    const double unit = (2.0 * static_cast<double>(case_.K) + 8.0) * std::ldexp(1.0, -24);
    const float* row = c.data() + i * (case_.N + kGap);
    const float* before = c0_.data() + i * (case_.N + kGap);
    for (i64 j = 0; j < case_.N; ++j) {
      const double bias = case_.bias ? bias_[j] : 0.0;
      const double old = case_.accumulate ? before[j] : 0.0;
      ASSERT_NEAR(row[j], case_.alpha * sum[j] + bias + old,
                  unit * (std::abs(case_.alpha) * size[j] + std::abs(bias) + std::abs(old)))
          << "at " << i << ", " << j;
    }
    for (i64 j = case_.N; j < case_.N + kGap; ++j) {
      ASSERT_TRUE(std::isnan(row[j])) << "written beside row " << i;
    }
  }

  ProductCase case_;
  testing::RandomMatrix b_;
  i64 a_stride_;
  std::vector<float> a_, c0_, bias_;
};

class ThreadsScope {
 public:
  explicit ThreadsScope(int count) : before_(num_threads()) { set_num_threads(count); }
  ~ThreadsScope() { set_num_threads(before_); }
  ThreadsScope(const ThreadsScope&) = delete;
  ThreadsScope& operator=(const ThreadsScope&) = delete;

 private:
  int before_;
};

inline bool same_bits(const std::vector<float>& a, const std::vector<float>& b) {
  return a.size() == b.size() &&
         (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

// One thread: how many there are changes nothing, which has a test of its own.
inline void expect_right(const ProductCase& c) {
  const ThreadsScope one(1);
  const Product product(c);
  ASSERT_NO_FATAL_FAILURE(product.expect_right(product.computed())) << text(c);
}

}  // namespace inlay::kernels
