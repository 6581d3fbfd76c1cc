// SPDX-License-Identifier: Apache-2.0
#include "optim/adamw.h"

#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/memory/memory.h"
#include "core/random.h"
#include "tests/support/error_text.h"
#include "tests/support/isas.h"

namespace inlay {
namespace {

Parameter parameter(const std::string& name, const std::vector<float>& values) {
  const Tensor value = Tensor::from(values, {static_cast<i64>(values.size())});
  return {name, value.set_requires_grad(true)};
}

std::vector<float> normal(i64 count, RandomKey key) {
  std::vector<float> out(count);
  fill_normal(out, key, 0.0F, 1.0F);
  return out;
}

/// Algorithm 2 of the paper in double, in PyTorch's order, one value.
struct NaiveAdamW {
  OptimizerConfig config;
  double p = 0.0, m = 0.0, v = 0.0;
  i64 t = 0;

  void step(double learning_rate, double g) {
    ++t;
    p -= learning_rate * config.weight_decay * p;
    m = config.beta1 * m + (1.0 - config.beta1) * g;
    v = config.beta2 * v + (1.0 - config.beta2) * g * g;
    const double m_hat = m / (1.0 - std::pow(config.beta1, static_cast<double>(t)));
    const double v_hat = v / (1.0 - std::pow(config.beta2, static_cast<double>(t)));
    p -= learning_rate * m_hat / (std::sqrt(v_hat) + config.epsilon);
  }
};

// By hand: m / (1 - b1) = g and v / (1 - b2) = g^2, so the first step is lr g / (|g| + eps) = lr
// sign(g), after the decay of p by lr times 0.1.
TEST(AdamW, FirstStepIsTheSignOfTheGradient) {
  const Parameter p = parameter("w", {1.0F, -2.0F, 3.0F});
  p.value.set_grad(Tensor::from({0.5F, -4.0F, 0.0F}, {3}));
  Optimizer optimizer(optimizer_named("adamw"), {.weight_decay = 0.1}, {p});
  optimizer.step(0.01, 1.0);
  const float expected[] = {1.0F * 0.999F - 0.01F, -2.0F * 0.999F + 0.01F, 3.0F * 0.999F};
  for (int i = 0; i < 3; ++i) {
    EXPECT_FLOAT_EQ(p.value.values()[i], expected[i]);
  }
  EXPECT_EQ(optimizer.steps(), 1);
}

// By hand, b1 = b2 = 0.5, g = 1 and then 2: m = 1/2, 5/4; v = 1/2, 9/4; corrected by 3/4:
// 5/3 and 3. The second step is 0.1 * (5/3) / (sqrt(3) + 1).
TEST(AdamW, SecondStepByHand) {
  const Parameter p = parameter("w", {0.0F});
  Optimizer optimizer(optimizer_named("adamw"), {.beta1 = 0.5, .beta2 = 0.5, .epsilon = 1.0}, {p});
  p.value.set_grad(Tensor::from({1.0F}, {1}));
  optimizer.step(0.1, 1.0);
  EXPECT_FLOAT_EQ(p.value.item(), -0.05F);  // 0.1 * 1 / (1 + 1)
  p.value.set_grad(Tensor::from({2.0F}, {1}));
  optimizer.step(0.1, 1.0);
  EXPECT_FLOAT_EQ(p.value.item(),
                  static_cast<float>(-0.05 - 0.1 * (5.0 / 3.0) / (std::sqrt(3.0) + 1.0)));
}

TEST(AdamW, FollowsTheNaiveFormOverManySteps) {
  const OptimizerConfig configs[] = {
      {},
      {.weight_decay = 0.1},
      {.beta1 = 0.8, .beta2 = 0.95, .epsilon = 1e-3, .weight_decay = 0.01},
      {.beta1 = 0.0, .beta2 = 0.0}};
  testing::for_each_isa([&] {
    for (const OptimizerConfig& config : configs) {
      constexpr i64 kCount = 37;  // no multiple of a vector
      const Parameter p = parameter("w", normal(kCount, RandomKey(1)));
      std::vector<NaiveAdamW> naive;
      for (const float value : p.value.values()) {
        naive.push_back({.config = config, .p = static_cast<double>(value)});
      }
      Optimizer optimizer(optimizer_named("adamw"), config, {p});
      for (u64 step = 0; step < 50; ++step) {
        const std::vector<float> g = normal(kCount, RandomKey(2).with(step));
        p.value.set_grad(Tensor::from(g, {kCount}));
        const double learning_rate = 0.01 * static_cast<double>(step % 7);
        optimizer.step(learning_rate, 0.5);
        for (i64 i = 0; i < kCount; ++i) {
          naive[i].step(learning_rate, 0.5 * static_cast<double>(g[i]));
          // A rounding of p, 6e-8 of values up to 4, a step, and of m and v.
          ASSERT_NEAR(p.value.values()[i], naive[i].p, 1e-5) << "step " << step;
        }
      }
    }
  });
}

TEST(AdamW, LeavesAParameterWithoutAGradientAlone) {
  const Parameter still = parameter("still", {1.0F, 2.0F});
  const Parameter moved = parameter("moved", {1.0F});
  moved.value.set_grad(Tensor::from({1.0F}, {1}));
  Optimizer optimizer(optimizer_named("adamw"), {.weight_decay = 0.5}, {still, moved});
  optimizer.step(0.1, 1.0);
  EXPECT_EQ(still.value.to_vector(), (std::vector<float>{1.0F, 2.0F}));
  EXPECT_NE(moved.value.item(), 1.0F);
  EXPECT_EQ(moved.value.grad().item(), 1.0F) << "gradients are kept";
}

TEST(AdamW, DecaysOnlyWhatTakesPart) {
  const Parameter decays = parameter("w", {1.0F, -2.0F});
  Parameter stays = parameter("b", {1.0F, -2.0F});
  stays.decays = false;
  for (const Parameter& p : {decays, stays}) {
    p.value.set_grad(Tensor::from({0.0F, 4.0F}, {2}));
  }
  Optimizer optimizer(optimizer_named("adamw"), {.weight_decay = 0.5}, {decays, stays});
  optimizer.step(0.1, 1.0);
  EXPECT_FLOAT_EQ(decays.value.values()[0], 0.95F);
  EXPECT_FLOAT_EQ(decays.value.values()[1], -2.0F * 0.95F - 0.1F);
  EXPECT_EQ(stays.value.values()[0], 1.0F);
  EXPECT_FLOAT_EQ(stays.value.values()[1], -2.1F);
}

TEST(AdamW, GoesOnFromItsStateBitForBit) {
  const auto gradient = [](u64 step) {
    return Tensor::from(normal(5, RandomKey(3).with(step)), {5});
  };
  const Parameter whole = parameter("w", normal(5, RandomKey(1)));
  Optimizer first(optimizer_named("adamw"), {.weight_decay = 0.1}, {whole});
  const auto run = [&](Optimizer& optimizer, const Tensor& value, u64 from, u64 to) {
    for (u64 step = from; step < to; ++step) {
      value.set_grad(gradient(step));
      optimizer.step(0.01, 1.0);
    }
  };
  run(first, whole.value, 0, 3);
  const Parameter copy = parameter("w", whole.value.to_vector());
  Optimizer second(optimizer_named("adamw"), {.weight_decay = 0.1}, {copy});
  std::vector<Parameter> from = first.state();
  std::vector<Parameter> to = second.state();
  ASSERT_EQ(from.size(), 2U);
  EXPECT_EQ(from[0].name, "exp_avg.w");
  EXPECT_EQ(from[1].name, "exp_avg_sq.w");
  for (std::size_t i = 0; i < from.size(); ++i) {
    EXPECT_EQ(to[i].name, from[i].name);
    to[i].value.copy_from(from[i].value);
  }
  second.set_steps(first.steps());
  run(first, whole.value, 3, 6);
  run(second, copy.value, 3, 6);
  EXPECT_EQ(copy.value.to_vector(), whole.value.to_vector());
}

TEST(AdamW, TakesEightBytesAParameterFromItsFirstStep) {
  const i64 before = current_memory()[MemoryClass::kOptimizer];
  const Parameter p = parameter("w", normal(1000, RandomKey(1)));
  p.value.set_grad(Tensor::zeros({1000}));
  Optimizer optimizer(optimizer_named("adamw"), {}, {p});
  EXPECT_EQ(current_memory()[MemoryClass::kOptimizer], before);
  optimizer.step(0.1, 1.0);
  EXPECT_EQ(current_memory()[MemoryClass::kOptimizer], before + 8000);
}

// By hand: under a constant gradient m = (1 - b1^t) g and v = (1 - b2^t) g^2, so m and the root of
// v corrected are g and |g|: every step is the learning rate, against the sign of g.
TEST(Optimizers, TakeStepsOfTheLearningRateUnderAConstantGradient) {
  for (const OptimizerKind& kind : optimizers()) {
    // Ten roundings of a p up to 2, of a way of 0.1. In 8 bits: from half the largest value on
    // codes keep m to 1.4 %, v to 1.4 % and its root to 0.7 %.
    const double tolerance = kind.name == "adamw_8bit" ? 0.021 : 1e-5;
    constexpr i64 kCount = 4096;  // enough for 8-bit moments
    constexpr float kCycle[] = {1.0F, -0.55F, 0.6F, -0.9F, 0.75F, 0.5F, -0.5F, 0.8F};
    std::vector<float> g(kCount);
    for (i64 i = 0; i < kCount; ++i) {
      g[i] = kCycle[i % std::ssize(kCycle)];
    }
    const Parameter p = parameter("w", std::vector<float>(kCount, 1.0F));
    p.value.set_grad(Tensor::from(g, {kCount}));
    Optimizer optimizer(kind, {}, {p});
    for (int t = 1; t <= 10; ++t) {
      optimizer.step(0.01, 1.0);
    }
    for (i64 i = 0; i < kCount; ++i) {
      const double way = g[i] > 0.0F ? 0.1 : -0.1;
      ASSERT_NEAR(p.value.values()[i], 1.0 - way, tolerance * 0.1) << kind.name << " " << i;
    }
  }
}

TEST(Optimizers, AreFoundByName) {
  for (const std::string& name : optimizer_names()) {
    EXPECT_EQ(optimizer_named(name).name, name);
  }
  EXPECT_EQ(error_text<ConfigError>([] { optimizer_named("adamv"); }),
            "optim: unknown optimizer \"adamv\" (did you mean \"adamw\"?)");
}

// What a plan offers in a kind's place must be there, and be smaller.
TEST(Optimizers, NameASmallerOneThatKeepsLess) {
  const Parameter p = parameter("w", std::vector<float>(4096, 1.0F));
  const auto bytes = [&](const OptimizerKind& kind) {
    i64 sum = 0;
    for (const Parameter& kept : Optimizer(kind, {}, {p}).state()) {
      sum += kept.value.bytes();
    }
    return sum;
  };
  for (const OptimizerKind& kind : optimizers()) {
    if (!kind.smaller.empty()) {
      EXPECT_LT(bytes(optimizer_named(kind.smaller)), bytes(kind)) << kind.name;
    }
  }
}

}  // namespace
}  // namespace inlay
