// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/dynamic_code.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include "core/io/sha256.h"

namespace inlay::kernels {
namespace {

/// linspace(0.1, 1, n) in f32 as PyTorch computes it: from both ends towards the middle, each value
/// with one rounding.
std::vector<float> linspace(int n) {
  constexpr float kFirst = 0.1F;
  const float step = (1.0F - kFirst) / static_cast<float>(n - 1);
  std::vector<float> points(n);
  for (int k = 0; k < n; ++k) {
    points[k] = k < n / 2 ? std::fma(step, static_cast<float>(k), kFirst)
                          : std::fma(-step, static_cast<float>(n - 1 - k), 1.0F);
  }
  return points;
}

/// The rule behind the codes: for each of seven powers of ten, the means of neighbouring points of
/// a linspace, twice as many each time; and 0 and 1.
std::vector<float> code_by_rule(bool with_negatives) {
  std::vector<float> code = {0.0F, 1.0F};
  for (int i = 0; i < 7; ++i) {
    const std::vector<float> points = linspace((1 << (with_negatives ? i : i + 1)) + 1);
    const auto scale = static_cast<float>(std::pow(10.0, i - 6));
    for (std::size_t j = 0; j + 1 < points.size(); ++j) {
      const float value = (points[j] + points[j + 1]) / 2.0F * scale;
      code.push_back(value);
      if (with_negatives) {
        code.push_back(-value);
      }
    }
  }
  std::sort(code.begin(), code.end());
  return code;
}

std::vector<float> copy(std::span<const float, 256> code) {
  return {code.begin(), code.end()};
}

TEST(DynamicCode, FollowsItsRuleToTheLastBit) {
  EXPECT_EQ(copy(dynamic_code_signed()), code_by_rule(true));
  EXPECT_EQ(copy(dynamic_code_unsigned()), code_by_rule(false));
}

// Digests of the tables bitsandbytes writes with PyTorch 2.11.
TEST(DynamicCode, IsTheTableCheckpointsHold) {
  EXPECT_EQ(sha256_hex(std::as_bytes(dynamic_code_signed())),
            "e732639a65f497b4ad684bb166a4467708255edd5207757de8b8f0c7e1fda89c");
  EXPECT_EQ(sha256_hex(std::as_bytes(dynamic_code_unsigned())),
            "305f002cc11278fb769d13b25b9fd0c7c83c8402c40a878fe086f4039fde6398");
}

TEST(DynamicCode, NearestIsTheNumberOfMidpointsBelow) {
  for (const auto code : {dynamic_code_signed(), dynamic_code_unsigned()}) {
    for (int k = 0; k < 256; ++k) {
      EXPECT_EQ(nearest_code(code, code[k]), k);
    }
    for (int k = 0; k < 255; ++k) {
      const float middle = (code[k] + code[k + 1]) / 2.0F;
      EXPECT_EQ(nearest_code(code, middle), k);  // a tie goes down
      EXPECT_EQ(nearest_code(code, std::nextafter(middle, 2.0F)), k + 1);
    }
    EXPECT_EQ(nearest_code(code, -2.0F), 0);
    EXPECT_EQ(nearest_code(code, 2.0F), 255);
    EXPECT_EQ(nearest_code(code, std::numeric_limits<float>::quiet_NaN()), 0);
  }
}

}  // namespace
}  // namespace inlay::kernels
