// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <utility>
#include <vector>

#include "core/autograd/graph.h"
#include "core/error.h"
#include "core/memory/memory.h"
#include "core/ops/elementwise.h"
#include "core/ops/linear.h"
#include "core/ops/norm.h"
#include "core/ops/shape.h"

namespace inlay {
namespace {

Tensor leaf(std::initializer_list<float> values, const Shape& shape) {
  const Tensor t = Tensor::from(values, shape);
  t.set_requires_grad(true);
  return t;
}

Tensor sum(const Tensor& x) {
  return linear(reshape(x, {1, x.numel()}), Tensor::full({1, x.numel()}, 1.0F));
}

TEST(Autograd, AddsWhatArrivesAlongSeveralPaths) {
  const Tensor x = leaf({1, 2}, {2});
  const Tensor y = mul(x, x);                                    // x^2
  backward(sum(add(mul(y, x), y)));                              // x^3 + x^2
  EXPECT_EQ(x.grad().to_vector(), (std::vector<float>{5, 16}));  // 3 x^2 + 2 x
}

TEST(Autograd, AccumulatesOverBackwardCalls) {
  const Tensor x = leaf({3}, {1});
  backward(scale(x, 2.0F));
  backward(scale(x, 5.0F));
  EXPECT_EQ(x.grad().item(), 7.0F);
  EXPECT_EQ(x.grad().storage()->memory_class(), MemoryClass::kGradients);
}

TEST(Autograd, SharedGradientsAreNotOverwritten) {
  // add hands the same dy to both inputs; the in-place scale of one must not reach the other.
  const Tensor a = leaf({1}, {1});
  const Tensor b = leaf({1}, {1});
  backward(add(scale(a, 3.0F), b));
  EXPECT_EQ(a.grad().item(), 3.0F);
  EXPECT_EQ(b.grad().item(), 1.0F);
}

TEST(Autograd, RecordsNothingWhereNothingIsWanted) {
  const Tensor frozen = Tensor::full({4, 4}, 0.5F);
  const i64 before = current_memory().total();
  const Tensor x = Tensor::full({2, 4}, 1.0F);
  const Tensor y = linear(rms_norm(linear(x, frozen), Tensor::full({4}, 1.0F)), frozen);
  EXPECT_FALSE(y.requires_grad());
  EXPECT_EQ(current_memory().total() - before, x.bytes() + y.bytes());
  const Tensor w = leaf({1, 0, 0, 1}, {2, 2});
  const NoGrad guard;
  EXPECT_FALSE(linear(Tensor::full({1, 2}, 1.0F), w).requires_grad());
}

TEST(Autograd, BackwardFreesTheGraphAndRefusesASecondRun) {
  const Tensor x = leaf({1, 2, 3, 4}, {4});
  const i64 before = current_memory().total();
  {
    const Tensor loss = sum(mul(activation(kernels::Activation::kSilu, x), x));
    backward(loss);
    EXPECT_THROW(backward(loss), Error);
  }
  EXPECT_EQ(current_memory().total() - before, x.grad().bytes());
}

TEST(Autograd, FrozenLinearKeepsNoInput) {
  const Tensor frozen = Tensor::full({64, 64}, 0.01F);
  Tensor x = Tensor::full({32, 64}, 1.0F);
  x.set_requires_grad(true);
  const i64 before = current_memory().total();
  Tensor y = scale(x, 1.0F);
  for (int i = 0; i < 5; ++i) {
    y = linear(y, frozen);
  }
  EXPECT_EQ(current_memory().total() - before,
            y.bytes());  // each result dies when the next is made
}

TEST(Autograd, NormOutputIsMadeAgainInsteadOfKept) {
  // Two trainable products read one norm. Only its input and rstd may live until backward.
  Tensor x = Tensor::full({128, 64}, 1.0F);
  x.set_requires_grad(true);
  const Tensor weight = Tensor::full({64}, 1.0F);
  Tensor w1 = Tensor::full({8, 64}, 0.1F);
  Tensor w2 = Tensor::full({8, 64}, 0.2F);
  w1.set_requires_grad(true);
  w2.set_requires_grad(true);
  const i64 before = current_memory().total();
  Tensor loss;
  {
    const Tensor n = rms_norm(scale(x, 2.0F), weight);
    loss = sum(add(linear(n, w1), linear(n, w2)));
  }
  const i64 held = current_memory().total() - before;
  const i64 norm_input = 128 * 64 * 4;
  EXPECT_LT(held, norm_input + 128 * 4 + 128 * 8 * 4 + 2048) << "the norm's output was kept too";
  backward(loss);
  EXPECT_TRUE(w1.grad().defined() && w2.grad().defined() && x.grad().defined());
}

TEST(Autograd, ResultsOfOneRecipeAreMadeTogetherAndOnce) {
  Tensor x = Tensor::full({64, 64}, 3.0F);
  x.set_requires_grad(true);
  int made = 0;
  const i64 before = current_memory().total();
  Tensor loss;
  {
    const auto make = [&](const Tensor& from) {
      ++made;
      return std::vector<Tensor>{scale(from, 2.0F), scale(from, 5.0F)};
    };
    const std::vector<Tensor> both = make(x);
    set_recipes(both, [make, sx = save(x, Keep::kExact)] { return make(sx.get()); });
    loss = sum(mul(both[0], both[1]));
  }
  // sum() keeps a tensor of ones, as large as each of the results.
  EXPECT_LT(current_memory().total() - before, 2 * x.bytes()) << "one of the results was kept";
  EXPECT_EQ(made, 1);
  backward(loss);
  EXPECT_EQ(made, 2);
  EXPECT_EQ(x.grad().to_vector(), std::vector<float>(64 * 64, 2 * 2.0F * 5.0F * 3.0F));
  EXPECT_EQ(current_memory().total() - before, loss.bytes() + x.grad().bytes());
}

TEST(Autograd, KeepsWhatWasComputedRoundedOnlyWhereItIsAskedTo) {
  constexpr float kValue = 1.0F + 0x1p-9F;  // between two numbers of bf16
  const Tensor x = leaf({kValue, kValue}, {2});
  const Tensor y = scale(x, 1.0F);
  const Saved rounded = save(y, Keep::kRounded), exact = save(y, Keep::kExact);
  EXPECT_EQ(rounded.get().to_vector(), std::vector<float>({1.0F, 1.0F}));
  EXPECT_EQ(exact.get().to_vector(), x.to_vector());
  EXPECT_EQ(save(x, Keep::kRounded).get().to_vector(), x.to_vector()) << "a leaf";
  EXPECT_TRUE(save(y, Keep::kRounded).get().same_storage(rounded.get())) << "a copy each";
  EXPECT_FALSE(save(y, Keep::kRounded, false).get().defined());

  const Tensor z = activation(kernels::Activation::kSilu, x);
  EXPECT_EQ(save(z, Keep::kRounded).get().to_vector(), z.to_vector()) << "it can be made again";
  EXPECT_FALSE(save(z, Keep::kExact).get().same_storage(z)) << "it can be made again";
}

TEST(Autograd, ATakenGradientIsWrittenOverWhereNobodyElseHoldsIt) {
  Tensor dy = Tensor::from({1.0F, 2.0F}, {2});
  const Taken own = take(std::move(dy));
  EXPECT_FALSE(dy.defined());
  EXPECT_TRUE(own.result.same_storage(own.values));

  Tensor shared = Tensor::from({3.0F, 4.0F}, {2});
  const Tensor other = shared;
  const Taken beside = take(std::move(shared));
  EXPECT_FALSE(beside.result.same_storage(beside.values));
  EXPECT_EQ(beside.result.shape(), other.shape());
  EXPECT_EQ(beside.values.to_vector(), other.to_vector());
}

TEST(Autograd, CheckpointGivesTheSameBitsInLessMemory) {
  Tensor w = Tensor::empty({16, 16});
  fill_normal(w.mutable_values(), RandomKey(3), 0.0F, 0.25F);
  w.set_requires_grad(true);
  Tensor x = Tensor::empty({64, 16});
  fill_normal(x.mutable_values(), RandomKey(4), 0.0F, 1.0F);
  x.set_requires_grad(true);
  const auto block = [&](const Tensor& in) {
    return dropout(activation(kernels::Activation::kSilu,
                              linear(activation(kernels::Activation::kGeluTanh, linear(in, w)), w)),
                   0.1F, RandomKey(9));
  };
  const auto run = [&](bool recompute) {
    w.set_grad({});
    x.set_grad({});
    const i64 before = current_memory().total();
    Tensor y = x;
    for (int i = 0; i < 3; ++i) {
      y = recompute ? checkpoint(block, y) : block(y);
    }
    const i64 held = current_memory().total() - before;
    backward(sum(y));
    std::vector<float> grads = x.grad().to_vector();
    const std::vector<float> dw = w.grad().to_vector();
    grads.insert(grads.end(), dw.begin(), dw.end());
    return std::pair(grads, held);
  };
  const auto [plain, plain_held] = run(false);
  const auto [recomputed, recomputed_held] = run(true);
  EXPECT_EQ(plain, recomputed);
  EXPECT_LT(recomputed_held, plain_held / 2);
}

TEST(Autograd, CheckpointOfSeveralInputsGivesEachItsGradient) {
  const auto run = [](bool recompute) {
    const Tensor a = leaf({2, -3}, {2}), b = leaf({5, 7}, {2}), w = leaf({4, 1}, {2});
    const Tensor frozen = Tensor::from({1, 2}, {2});
    // Computed values, of which the second is read again behind.
    const std::vector<Tensor> inputs = {scale(a, 2.0F), scale(b, 3.0F), frozen, Tensor()};
    const auto block = [&](std::span<const Tensor> in) {
      EXPECT_FALSE(in[3].defined());
      return mul(add(mul(in[0], in[1]), in[2]), w);
    };
    const Tensor y = recompute ? checkpoint(block, inputs) : block(inputs);
    backward(sum(mul(y, inputs[1])));
    std::vector<float> grads;
    for (const Tensor& t : {a, b, w}) {
      const std::vector<float> grad = t.grad().to_vector();
      grads.insert(grads.end(), grad.begin(), grad.end());
    }
    return grads;
  };
  EXPECT_EQ(run(true), run(false));
}

TEST(Autograd, CheckpointReachesLeavesWhenItsInputIsFrozen) {
  const Tensor w = leaf({2}, {1});
  const Tensor x = Tensor::from({3}, {1});
  backward(checkpoint([&](const Tensor& in) { return mul(in, w); }, x));
  EXPECT_EQ(w.grad().item(), 3.0F);
}

TEST(Autograd, ALossMustBeOneNumber) {
  const Tensor x = leaf({1, 2}, {2});
  EXPECT_THROW(backward(scale(x, 1.0F)), ShapeError);
}

}  // namespace
}  // namespace inlay
