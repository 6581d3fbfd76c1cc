// SPDX-License-Identifier: Apache-2.0
#include "optim/clip.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <vector>

#include "tests/support/isas.h"

namespace inlay {
namespace {

Parameter with_gradient(const std::vector<float>& gradient) {
  const Shape shape{static_cast<i64>(gradient.size())};
  const Parameter p{"w", Tensor::zeros(shape).set_requires_grad(true)};
  p.value.set_grad(Tensor::from(gradient, shape));
  return p;
}

TEST(GlobalGradNorm, IsThatOfAllGradientsTogether) {
  EXPECT_EQ(global_grad_norm({}), 0.0);
  EXPECT_EQ(global_grad_norm(std::vector<Parameter>{{"none", Tensor::zeros({3})}}), 0.0);
  const std::vector<Parameter> parameters = {with_gradient({2.0F, -4.0F}),
                                             {"none", Tensor::zeros({3})},
                                             with_gradient({5.0F, 6.0F, 0.0F})};
  EXPECT_DOUBLE_EQ(global_grad_norm(parameters), 9.0);  // 4 + 16 + 25 + 36 = 81
}

TEST(GlobalGradNorm, LosesNoSmallSquaresBesideALargeOne) {
  // Added one by one in f32 the ones would vanish beside 1e8, and 3e-4 of the norm with them.
  std::vector<float> values(1 << 16, 1.0F);
  values[0] = 1e4F;
  const double expected = std::sqrt(1e8 + 65535.0);
  EXPECT_DOUBLE_EQ(global_grad_norm(std::vector<Parameter>{with_gradient(values)}), expected);
}

TEST(GlobalGradNorm, HoldsSquaresThatAnF32DoesNot) {
  for (const float large : {std::numeric_limits<float>::max(), 3e30F, 1e-30F}) {
    const double v = static_cast<double>(large);
    EXPECT_DOUBLE_EQ(
        global_grad_norm(std::vector<Parameter>{with_gradient(std::vector<float>(100, large))}),
        10.0 * v);
  }
}

// Sixteen sums side by side, whatever the width of a vector; rounding would tell another order.
TEST(GlobalGradNorm, AddsInTheSameOrderForEveryInstructionSet) {
  std::vector<float> values(1003);
  for (std::size_t i = 0; i < values.size(); ++i) {
    values[i] = 1.0F / static_cast<float>(i + 3);
  }
  double parts[16] = {};
  for (std::size_t i = 0; i < values.size(); ++i) {
    parts[i % 16] += static_cast<double>(values[i]) * static_cast<double>(values[i]);
  }
  double sum = 0.0;
  for (const double part : parts) {
    sum += part;
  }
  for (const kernels::Isa isa : testing::supported_isas()) {
    const testing::IsaScope scope(isa);
    EXPECT_EQ(global_grad_norm(std::vector<Parameter>{with_gradient(values)}), std::sqrt(sum))
        << kernels::isa_name(isa);
  }
}

TEST(GlobalGradNorm, IsNotFiniteWhenAGradientIsNot) {
  for (const float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    EXPECT_FALSE(std::isfinite(global_grad_norm(
        std::vector<Parameter>{with_gradient({1.0F, bad}), with_gradient({1.0F})})));
  }
}

TEST(ClipScale, KeepsTheNormUnderItsBound) {
  EXPECT_EQ(clip_scale(0.5, 1.0), 1.0);
  EXPECT_EQ(clip_scale(0.0, 1.0), 1.0);
  EXPECT_DOUBLE_EQ(clip_scale(4.0, 1.0), 1.0 / (4.0 + 1e-6));
  EXPECT_DOUBLE_EQ(clip_scale(4.0, 2.0), 2.0 / (4.0 + 1e-6));
  // PyTorch's 1e-6 makes the bound itself be scaled a little.
  EXPECT_DOUBLE_EQ(clip_scale(1.0, 1.0), 1.0 / (1.0 + 1e-6));
  EXPECT_EQ(clip_scale(1.0 - 1e-6, 1.0), 1.0);
}

TEST(ClipScale, DoesNothingWithoutABound) {
  EXPECT_EQ(clip_scale(1e9, 0.0), 1.0);
  EXPECT_EQ(clip_scale(1e9, -1.0), 1.0);
}

}  // namespace
}  // namespace inlay
