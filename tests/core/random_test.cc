// SPDX-License-Identifier: Apache-2.0
#include "core/random.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <vector>

#include "core/kernels/philox.h"
#include "core/parallel.h"

namespace inlay {
namespace {

TEST(Random, PhiloxMatchesThePublishedVectors) {
  // Known answers of the reference implementation (Random123 kat_vectors, philox4x32 10).
  const kernels::PhiloxWords zero = kernels::philox(0, 0, 0);
  EXPECT_EQ(zero.word[0], 0x6627E8D5U);
  EXPECT_EQ(zero.word[1], 0xE169C58DU);
  EXPECT_EQ(zero.word[2], 0xBC57AC4CU);
  EXPECT_EQ(zero.word[3], 0x9B00DBD8U);
  const kernels::PhiloxWords ones = kernels::philox(~u64{0}, ~u64{0}, ~u64{0});
  EXPECT_EQ(ones.word[0], 0x408F276DU);
  EXPECT_EQ(ones.word[3], 0x6D5451FDU);
}

TEST(Random, StreamsOfDifferentPurposesDiffer) {
  const RandomKey key(42);
  EXPECT_NE(random_bits(key.with("order"), 0), random_bits(key.with("dropout"), 0));
  EXPECT_NE(random_bits(key.with(1).with(2), 0), random_bits(key.with(2).with(1), 0));
  EXPECT_EQ(random_bits(key.with("order").with(3), 5),
            random_bits(RandomKey(42).with("order").with(3), 5));
}

TEST(Random, FillsAreTheSameAtAnyThreadCount) {
  std::vector<float> one(100000), four(100000);
  set_num_threads(1);
  fill_normal(one, RandomKey(7), 0.0F, 1.0F);
  set_num_threads(4);
  fill_normal(four, RandomKey(7), 0.0F, 1.0F);
  set_num_threads(available_processors());
  EXPECT_EQ(one, four);
}

TEST(Random, NormalAndUniformHaveTheirMoments) {
  std::vector<float> x(1 << 18);
  fill_normal(x, RandomKey(1), 2.0F, 3.0F);
  double sum = 0, squares = 0;
  for (const float v : x) {
    sum += v;
    squares += (v - 2.0) * (v - 2.0);
  }
  // Four standard errors: 3 / sqrt(2^18) = 0.006 for the mean, 9 sqrt(2) / 512 = 0.025 for the
  // variance.
  EXPECT_NEAR(sum / static_cast<double>(x.size()), 2.0, 0.024);
  EXPECT_NEAR(squares / static_cast<double>(x.size()), 9.0, 0.1);
  fill_uniform(x, RandomKey(2), -1.0F, 1.0F);
  EXPECT_GE(*std::min_element(x.begin(), x.end()), -1.0F);
  EXPECT_LT(*std::max_element(x.begin(), x.end()), 1.0F);
}

TEST(Random, PermutationHoldsEachIndexOnce) {
  std::vector<i64> order = random_permutation(1000, RandomKey(3));
  EXPECT_NE(order, random_permutation(1000, RandomKey(4)));
  std::sort(order.begin(), order.end());
  for (i64 i = 0; i < 1000; ++i) {
    EXPECT_EQ(order[i], i);
  }
  EXPECT_TRUE(random_permutation(0, RandomKey(3)).empty());
}

}  // namespace
}  // namespace inlay
