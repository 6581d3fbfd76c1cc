// SPDX-License-Identifier: Apache-2.0
#include "tests/core/bf16_probe.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/parallel.h"
#include "tests/support/isas.h"

namespace inlay::kernels {
namespace {

u16 small_bf16(i64 value) {
  return static_cast<u16>(__builtin_bit_cast(u32, static_cast<float>(value)) >> 16);
}

TEST(Bf16Instructions, RunOnEveryThread) {
  // Whole numbers up to 8: every product and sum is exact.
  std::vector<u16> a(16 * 32), b(16 * 32);
  std::vector<float> want(16 * 16, 0.0F);
  for (i64 i = 0; i < 16; ++i) {
    for (i64 k = 0; k < 32; ++k) {
      const i64 left = (3 * i + 5 * k) % 17 - 8;
      a[i * 32 + k] = small_bf16(left);
      for (i64 j = 0; j < 16; ++j) {
        const i64 right = (7 * k + 2 * j) % 15 - 7;
        b[k / 2 * 32 + 2 * j + k % 2] = small_bf16(right);
        want[i * 16 + j] += static_cast<float>(left * right);
      }
    }
  }
  for (const Isa isa : testing::supported_dot_isas()) {
    SCOPED_TRACE(isa_name(isa));
    const testing::IsaScope scope(isa);
    const Bf16Probe* probe = INLAY_SELECT_DOTS(bf16_probe);
    ASSERT_NE(probe, nullptr);
    constexpr i64 kTasks = 8;
    std::vector<std::vector<float>> got(kTasks, std::vector<float>(16 * 16));
    set_num_threads(4);
    parallel_for(kTasks, [&](i64 task) { probe->product(a.data(), b.data(), got[task].data()); });
    set_num_threads(available_processors());
    for (const std::vector<float>& c : got) {
      EXPECT_EQ(c, want);
    }
  }
}

TEST(Bf16Instructions, HaveNoTableWhereTheProcessorLacksThem) {
  testing::for_each_isa([] {
    const Bf16Probe* probe = INLAY_SELECT_DOTS(bf16_probe);
    EXPECT_EQ(probe, nullptr);
  });
}

}  // namespace
}  // namespace inlay::kernels
