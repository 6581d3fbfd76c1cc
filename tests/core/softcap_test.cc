// SPDX-License-Identifier: Apache-2.0
#include "core/ops/softcap.h"

#include <gtest/gtest.h>

#include <cmath>
#include <utility>
#include <vector>

#include "core/random.h"
#include "tests/support/gradcheck.h"

namespace inlay {
namespace {

TEST(Softcap, MatchesItsTwin) {
  for (const float cap : {0.5F, 30.0F}) {
    const auto twin = [cap](const std::vector<Array>& in) {
      Array y = in[0];
      for (double& v : y.values) {
        v = static_cast<double>(cap) * std::tanh(v / static_cast<double>(cap));
      }
      return y;
    };
    for (const Shape& shape : {Shape{1}, Shape{7, 13}, Shape{2, 30}}) {
      gradcheck(
          "softcap", {shape}, [cap](const std::vector<Tensor>& in) { return softcap(in[0], cap); },
          twin);
    }
  }
}

TEST(Softcap, CapsEveryValueOfManyTasks) {
  Tensor x = Tensor::empty({10'000});
  fill_uniform(x.mutable_values(), RandomKey(1), -90.0F, 90.0F);
  const Tensor y = softcap(x, 30.0F);
  for (i64 i = 0; i < x.numel(); ++i) {
    const double expected = 30.0 * std::tanh(static_cast<double>(x.values()[i]) / 30.0);
    ASSERT_NEAR(y.values()[i], expected, 4e-6) << i;  // a few roundings of values up to 30
  }
}

TEST(Softcap, IsWrittenOverWhatNobodyElseHolds) {
  Tensor x = Tensor::full({4}, 2.0F);
  const float* memory = x.values().data();
  const Tensor kept = softcap(x, 1.0F);
  EXPECT_NE(kept.values().data(), memory);
  EXPECT_EQ(x.values()[0], 2.0F);
  EXPECT_EQ(softcap(std::move(x), 1.0F).values().data(), memory);
}

}  // namespace
}  // namespace inlay
