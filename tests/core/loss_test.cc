// SPDX-License-Identifier: Apache-2.0
#include "core/ops/loss.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <utility>

#include "core/kernels/convert.h"
#include "core/kernels/softmax.h"
#include "core/ops/elementwise.h"
#include "core/ops/linear.h"
#include "core/parallel.h"
#include "core/random.h"
#include "tests/support/error_text.h"
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

// Hidden states and a head, both of them wanting gradients, and the targets of seven rows.
struct HeadProblem {
  HeadProblem() {
    fill_normal(h.mutable_values(), RandomKey(1), 0.0F, 1.0F);
    fill_normal(w.mutable_values(), RandomKey(2), 0.0F, 1.0F);
    h.set_requires_grad(true);
    w.set_requires_grad(true);
  }
  Tensor logits(const Tensor& x) const { return linear(x, w); }
  Tensor whole() const { return cross_entropy(logits(h), targets, 7.0); }
  Tensor in_pieces(PieceGradient gradient, i64 rows) const {
    return loss_in_pieces(
        h, [this](const Tensor& x) { return logits(x); },
        [this](Tensor piece, i64 first) {
          const auto own = std::span(targets).subspan(first, piece.dim(0));
          return cross_entropy(std::move(piece), own, 7.0);
        },
        {.gradient = gradient, .rows = rows});
  }
  struct Gradients {
    std::vector<float> h, w;
  };
  Gradients gradients(const Tensor& loss, const Tensor& seed = {}) const {
    backward(loss, seed);
    Gradients out = {h.grad().to_vector(), w.grad().to_vector()};
    h.set_grad({});
    w.set_grad({});
    return out;
  }

  std::vector<i32> targets = {1, 0, 4, 3, 2, 1, 1};
  Tensor h = Tensor::empty({7, 6});
  Tensor w = Tensor::empty({5, 6});
};

TEST(Loss, InPiecesIsThatOfTheWholeHead) {
  const HeadProblem problem;
  const Tensor whole = problem.whole();
  const auto expected = problem.gradients(whole);
  for (const PieceGradient when : {PieceGradient::kAtOnce, PieceGradient::kInBackward}) {
    for (const i64 rows : {0, 1, 3, 7, 100}) {
      const Tensor loss = problem.in_pieces(when, rows);
      EXPECT_NEAR(loss.item(), whole.item(), 1e-6);  // the partial losses are rounded to f32
      const auto found = problem.gradients(loss);
      EXPECT_EQ(found.h, expected.h);  // rows do not mix
      for (std::size_t i = 0; i < expected.w.size(); ++i) {
        EXPECT_NEAR(found.w[i], expected.w[i], 1e-6);  // another order of addition
      }
    }
  }
}

// Any gradient may arrive for a loss whose gradient is computed in backward. One that is there
// already takes part in sums, and has its factors within.
TEST(Loss, InPiecesTakesAnySeed) {
  const HeadProblem problem;
  const auto one = problem.gradients(problem.whole());
  const auto expect_half = [&](const HeadProblem::Gradients& found) {
    for (std::size_t i = 0; i < one.h.size(); ++i) {
      EXPECT_EQ(found.h[i], 0.5F * one.h[i]);  // a power of two rounds nothing
    }
    for (std::size_t i = 0; i < one.w.size(); ++i) {
      EXPECT_NEAR(found.w[i], 0.5F * one.w[i], 1e-6);
    }
  };
  const Tensor half = Tensor::full({1}, 0.5F);
  expect_half(problem.gradients(problem.in_pieces(PieceGradient::kInBackward, 3), half));
  expect_half(problem.gradients(scale(problem.in_pieces(PieceGradient::kInBackward, 3), 0.5F)));
  expect_half(problem.gradients(loss_in_pieces(
      problem.h, [&](const Tensor& x) { return problem.logits(x); },
      [&](Tensor piece, i64 first) {
        const auto own = std::span(problem.targets).subspan(first, piece.dim(0));
        return scale(cross_entropy(std::move(piece), own, 7.0), 0.5F);
      },
      {.gradient = PieceGradient::kAtOnce, .rows = 3})));
}

TEST(Loss, InPiecesAtOnceMayBeATermOfASum) {
  const HeadProblem problem;
  const Tensor extra = Tensor::full({1}, 3.0F);
  extra.set_requires_grad(true);
  const auto alone = problem.gradients(problem.in_pieces(PieceGradient::kAtOnce, 3));
  const auto sum =
      problem.gradients(add(problem.in_pieces(PieceGradient::kAtOnce, 3), scale(extra, 2.0F)));
  EXPECT_EQ(sum.h, alone.h);
  EXPECT_EQ(sum.w, alone.w);
  EXPECT_EQ(extra.grad().item(), 2.0F);
}

// Else the head's leaves would silently have another gradient than everything below.
TEST(Loss, InPiecesAtOnceRefusesAnotherSeedThanTheOneItTook) {
  const HeadProblem problem;
  const auto refused = [&](const Tensor& total) {
    return error_text<Error>([&] { backward(total); }).find("is_first_gradient") !=
           std::string::npos;
  };
  EXPECT_TRUE(refused(scale(problem.in_pieces(PieceGradient::kAtOnce, 3), 0.5F)));
  const Tensor loss = problem.in_pieces(PieceGradient::kAtOnce, 3);
  EXPECT_TRUE(refused(add(loss, loss)));
}

TEST(Loss, ScalesItsGradientByTheOneThatArrives) {
  const HeadProblem problem;
  const Tensor logits = problem.logits(problem.h).detach();
  const auto gradient = [&](DType type, float seed) {
    const Tensor leaf = logits.clone();
    leaf.set_requires_grad(true);
    backward(cross_entropy(leaf, problem.targets, 7.0, type), Tensor::full({1}, seed));
    return leaf.grad().to_vector();
  };
  for (const DType type : {DType::kF32, DType::kBf16}) {
    const std::vector<float> one = gradient(type, 1.0F);
    const std::vector<float> quarter = gradient(type, 0.25F);
    const std::vector<float> third = gradient(type, 1.0F / 3.0F);
    for (std::size_t i = 0; i < one.size(); ++i) {
      EXPECT_EQ(quarter[i], 0.25F * one[i]);
      // A rounding to f32, or to the eight bits of bf16.
      EXPECT_NEAR(third[i], one[i] / 3.0F, std::abs(one[i]) * (type == DType::kF32 ? 1e-7 : 4e-3));
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
    const Tensor loss = loss_in_pieces(
        h,
        [&](const Tensor& x) { return linear(x, w, {}, WeightLayout::kOutIn, GemmCompute::kBf16); },
        [&](Tensor piece, i64 first) {
          const auto own = std::span(targets).subspan(first, piece.dim(0));
          return cross_entropy(std::move(piece), own, 3.0, type);
        },
        {.gradient = PieceGradient::kAtOnce, .rows = 32});
    backward(loss);
    return h.grad().to_vector();
  };
  EXPECT_EQ(gradient(DType::kBf16), gradient(DType::kF32));
}

}  // namespace
}  // namespace inlay
