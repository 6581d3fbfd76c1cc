// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/cpu/isa/peak.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/kernels/cpu/isa/isa.h"
#include "tests/support/isas.h"

namespace inlay {
namespace {

using kernels::Isa;

TEST(Peak, LoopsDoTheOperationsTheyCountOnEveryInstructionSet) {
  testing::for_each_isa([] {
    float sink = 0.0F;
    const double one = kernels::fma_loop(1, &sink);
    EXPECT_GT(one, 0.0);
    EXPECT_EQ(kernels::fma_loop(1000, &sink), 1000 * one);
    // x <- 0.999 x + 0.5 goes to 500, from wherever each of the chains starts.
    sink = 0.0F;
    kernels::fma_loop(10000, &sink);
    const double sums = sink / 500.0;
    EXPECT_NEAR(sums, std::round(sums), 1e-2);
    EXPECT_GE(sums, 12.0);
  });
}

TEST(Peak, LoopsOfDotProductsSayWhenThereAreNone) {
  for (auto* loop : {kernels::bf16_loop, kernels::int8_loop}) {
    float sink = 0.0F;
    testing::for_each_isa([&] { EXPECT_EQ(loop(10, &sink), 0.0); });
    for (const Isa isa : testing::supported_dot_isas()) {
      const testing::IsaScope scope(isa);
      EXPECT_GT(loop(10, &sink), 0.0);
      EXPECT_EQ(loop(20, &sink), 2 * loop(10, &sink));
    }
  }
}

TEST(Peak, ReadLoopAddsUpWhatItReads) {
  testing::for_each_isa([] {
    const std::vector<float> ones(128 * 9, 1.0F);
    EXPECT_EQ(kernels::read_loop(ones), 128.0F * 9);
    EXPECT_EQ(kernels::read_loop({}), 0.0F);
  });
}

}  // namespace
}  // namespace inlay
