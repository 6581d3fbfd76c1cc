// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/dynamic_code.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <vector>

#include "core/io/sha256.h"
#include "tests/support/isas.h"

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

// Encoding takes a way of its own, by the upper half of a float's bits: its answers change only at
// the ends of the numbers that share one, and at midpoints, and both are all tried.
TEST(DynamicCode, EncodesToTheNearestCode) {
  testing::for_each_isa([] {
    for (const DynamicMap map : {DynamicMap::kSigned, DynamicMap::kUnsigned}) {
      const auto code =
          map == DynamicMap::kSigned ? dynamic_code_signed() : dynamic_code_unsigned();
      std::vector<float> values;
      for (u32 upper = 0; upper < 1U << 16; ++upper) {
        values.push_back(std::bit_cast<float>(upper << 16));
        values.push_back(std::bit_cast<float>(upper << 16 | 0xFFFFU));
      }
      for (int k = 0; k < 255; ++k) {
        const float middle = (code[k] + code[k + 1]) / 2.0F;
        values.insert(values.end(),
                      {std::nextafter(middle, -2.0F), middle, std::nextafter(middle, 2.0F)});
      }
      std::erase_if(values, [](float z) { return !(std::fabs(z) <= 1.0F); });
      values.push_back(1.0F);  // the scale is 1: z is the value itself
      std::vector<u8> codes(values.size());
      EXPECT_EQ(encode_dynamic(map, values, codes), 1.0F);
      for (std::size_t i = 0; i < values.size(); ++i) {
        ASSERT_EQ(codes[i], nearest_code(code, values[i])) << values[i];
      }
    }
  });
}

TEST(DynamicCode, DecodesWhatItEncodes) {
  for (const DynamicMap map : {DynamicMap::kSigned, DynamicMap::kUnsigned}) {
    for (const std::size_t count : {1, 15, 16, 17, 31, 32, 33, 256}) {
      const auto code =
          map == DynamicMap::kSigned ? dynamic_code_signed() : dynamic_code_unsigned();
      std::vector<float> values(count);
      for (std::size_t i = 0; i < count; ++i) {
        values[i] = 8.0F * code[255 - 7 * i % 256];  // from the largest on; 8: no rounding
      }
      std::vector<u8> codes(count);
      EXPECT_EQ(encode_dynamic(map, values, codes), 8.0F);
      std::vector<float> decoded(count);
      decode_dynamic(map, 8.0F, codes, decoded);
      EXPECT_EQ(decoded, values);
    }
  }
}

TEST(DynamicCode, ABlockOfZerosDecodesToZeros) {
  for (const float tiny :
       {0.0F, 1e-42F}) {  // and one whose reciprocal is infinite, to almost zeros
    for (const DynamicMap map : {DynamicMap::kSigned, DynamicMap::kUnsigned}) {
      const std::vector<float> values = {0.0F, tiny, 0.0F};
      std::vector<u8> codes(3);
      const float absmax = encode_dynamic(map, values, codes);
      EXPECT_EQ(absmax, tiny);
      std::vector<float> decoded(3, 1.0F);
      decode_dynamic(map, absmax, codes, decoded);
      for (const float value : decoded) {
        EXPECT_LE(std::fabs(value), tiny);
      }
    }
  }
}

}  // namespace
}  // namespace inlay::kernels
