// SPDX-License-Identifier: Apache-2.0
#include "core/ops/loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "core/kernels/convert.h"
#include "core/kernels/softmax.h"
#include "core/ops/linear.h"
#include "core/parallel.h"
#include "core/random.h"
#include "tests/support/gradcheck.h"
#include "tests/support/isas.h"

namespace inlay {
namespace {

using testing::for_each_isa;

double loss_of(const Array& logits, const std::vector<i32>& targets, double normalizer) {
  const i64 V = logits.shape[-1];
  double loss = 0.0;
  for (i64 r = 0; r < logits.rows(); ++r) {
    double sum = 0.0;
    for (i64 v = 0; v < V; ++v) {
      sum += std::exp(logits[r * V + v]);
    }
    loss += (std::log(sum) - logits[r * V + targets[r]]) / normalizer;
  }
  return loss;
}

TEST(Loss, CrossEntropyMatchesItsTwin) {
  for_each_isa([] {
    for (const i64 V : {2, 16, 37, 300}) {
      const std::vector<i32> targets = {0, static_cast<i32>(V - 1), static_cast<i32>(V / 2)};
      gradcheck(
          "cross_entropy", {{3, V}},
          [&](const std::vector<Tensor>& t) { return cross_entropy(t[0], targets, 2.5); },
          [&](const std::vector<Array>& a) {
            return Array{Shape{1}, {loss_of(a[0], targets, 2.5)}};
          });
    }
  });
}

TEST(Loss, ChunkedCrossEntropyIsThatOfTheWholeHead) {
  const std::vector<i32> targets = {1, 0, 4, 3, 2, 1, 1};
  for (const i64 chunk : {1, 3, 7, 100}) {
    const i64 N = 7;
    const i64 C = 6;
    const i64 V = 5;
    Tensor h = Tensor::empty({N, C});
    Tensor w = Tensor::empty({V, C});
    fill_normal(h.mutable_values(), RandomKey(1), 0.0F, 1.0F);
    fill_normal(w.mutable_values(), RandomKey(2), 0.0F, 1.0F);
    h.set_requires_grad(true);
    w.set_requires_grad(true);
    const Tensor whole = cross_entropy(linear(h, w), targets, 7.0);
    backward(whole);
    const std::vector<float> dh = h.grad().to_vector();
    const std::vector<float> dw = w.grad().to_vector();
    h.set_grad({});
    w.set_grad({});
    const Tensor chunked = chunked_cross_entropy(
        h, targets, 7.0, [&](const Tensor& x) { return linear(x, w); }, DType::kF32, chunk);
    backward(chunked);
    EXPECT_NEAR(chunked.item(), whole.item(), 1e-6);  // the partial losses are rounded to f32
    for (i64 i = 0; i < h.numel(); ++i) {
      EXPECT_EQ(h.grad().values()[i], dh[i]);  // rows do not mix
    }
    for (i64 i = 0; i < w.numel(); ++i) {
      EXPECT_NEAR(w.grad().values()[i], dw[i], 1e-6);  // another order of addition
    }
  }
}

// The gradient in bf16, written over the logits, is the f32 one rounded, whatever rows and threads
// there are.
TEST(Loss, CrossEntropyRoundsItsGradientInPlace) {
  for_each_isa([] {
    for (const i64 rows : {1, 2, 3, 7, 64, 100}) {
      for (const i64 V : {2, 37, 300}) {
        std::vector<float> logits(rows * V);
        fill_normal(logits, RandomKey(static_cast<u64>(rows)), 0.0F, 2.0F);
        std::vector<i32> targets(rows);
        for (i64 r = 0; r < rows; ++r) {
          targets[r] = static_cast<i32>((7 * r) % V);
        }
        std::vector<float> exact = logits;
        std::vector<double> losses(rows), same_losses(rows);
        kernels::cross_entropy_in_place(exact, V, targets, 0.3F, losses);
        std::vector<u16> expected(exact.size());
        kernels::f32_to_bf16(exact, expected);
        for (const int threads : {1, 3}) {
          const int before = num_threads();
          set_num_threads(threads);
          std::vector<float> over = logits;
          kernels::cross_entropy_to_bf16(over, V, targets, 0.3F, same_losses);
          set_num_threads(before);
          EXPECT_EQ(losses, same_losses);
          EXPECT_EQ(std::memcmp(over.data(), expected.data(), 2 * expected.size()), 0)
              << rows << " rows of " << V << ", " << threads << " threads";
        }
      }
    }
  });
}

// Products that round the logits' gradient give the same bits when it comes rounded.
TEST(Loss, ARoundedGradientOfTheLogitsChangesNothingInBf16) {
  if (!kernels::has_bf16_operands(GemmCompute::kBf16)) {
    GTEST_SKIP() << "this processor has no products of bf16";
  }
  const i64 N = 70, C = 48, V = 131;
  const Tensor h = Tensor::empty({N, C}), w = Tensor::empty({V, C});
  fill_normal(h.mutable_values(), RandomKey(1), 0.0F, 1.0F);
  fill_normal(w.mutable_values(), RandomKey(2), 0.0F, 1.0F);
  h.set_requires_grad(true);
  std::vector<i32> targets(N, 5);
  targets[3] = 130;
  const auto gradient = [&](DType type) {
    h.set_grad({});
    const Tensor loss = chunked_cross_entropy(
        h, targets, 3.0,
        [&](const Tensor& x) { return linear(x, w, {}, WeightLayout::kOutIn, GemmCompute::kBf16); },
        type, 32);
    backward(loss);
    return h.grad().to_vector();
  };
  EXPECT_EQ(gradient(DType::kBf16), gradient(DType::kF32));
}

}  // namespace
}  // namespace inlay
