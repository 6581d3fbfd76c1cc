// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include "core/kernels/cpu/products/gemm_bf16_kernels.h"
#include "core/parallel.h"
#include "tests/core/bf16_probe.h"
#include "tests/core/simd_probe.h"
#include "tests/support/isas.h"

namespace inlay::kernels {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

using Apply = void (*)(const float*, i64, float*);

float at(Apply function, float x) {
  float y = 0.0F;
  function(&x, 1, &y);
  return y;
}

/// The largest |f(x) / exact(x) - 1| over evenly spaced x, none of them on a round number.
double relative_error(Apply function, double low, double high, double (*exact)(double)) {
  constexpr i64 kSamples = (i64{1} << 20) + 3;
  std::vector<float> x(kSamples), y(kSamples);
  for (i64 i = 0; i < kSamples; ++i) {
    x[i] = static_cast<float>(low + (high - low) * static_cast<double>(i) / (kSamples - 1));
  }
  function(x.data(), kSamples, y.data());
  double worst = 0.0;
  for (i64 i = 0; i < kSamples; ++i) {
    const double want = exact(static_cast<double>(x[i]));
    worst = std::max(worst, std::abs(static_cast<double>(y[i]) / want - 1.0));
  }
  return worst;
}

class Simd : public testing::OnEachIsa {};
INLAY_ON_EACH_ISA(Simd);

TEST_P(Simd, Exp2IsWithinItsErrorOverTheNormalRange) {
  const Apply exp2 = INLAY_SELECT(simd_probe).exp2;
  EXPECT_LT(relative_error(exp2, -126.0, 127.99, std::exp2), 2e-7);
  EXPECT_LT(relative_error(exp2, -1.0, 1.0, std::exp2), 2e-7);
}

TEST_P(Simd, ExpIsWithinItsErrorOverTheNormalRange) {
  const Apply exp = INLAY_SELECT(simd_probe).exp;
  EXPECT_LT(relative_error(exp, -87.3, 88.7, std::exp), 2e-7);
  EXPECT_LT(relative_error(exp, -1.0, 1.0, std::exp), 2e-7);
}

TEST_P(Simd, TanhIsWithinAFewRoundings) {
  const Apply tanh = INLAY_SELECT(simd_probe).tanh;
  // Near 1/4, where 1 - 2 / (e^2x + 1) takes over, two bits of 1 cancel: 4 x 2e-7.
  EXPECT_LT(relative_error(tanh, 1e-6, 20.0, std::tanh), 1e-6);
  EXPECT_LT(relative_error(tanh, 1e-6, 0.3, std::tanh), 1e-6);
  EXPECT_EQ(at(tanh, -kInfinity), -1.0F);
}

TEST_P(Simd, Exp2IsExactAtWholeNumbers) {
  for (int n = -126; n <= 127; ++n) {
    EXPECT_EQ(at(INLAY_SELECT(simd_probe).exp2, static_cast<float>(n)), std::ldexp(1.0F, n)) << n;
  }
}

TEST_P(Simd, ExponentialsLeaveTheRangeQuietly) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<std::pair<float, float>> ends = {
      {-kInfinity, 0.0F}, {-1e30F, 0.0F}, {kInfinity, kInfinity}, {1e30F, kInfinity}};
  const SimdProbe& probe = INLAY_SELECT(simd_probe);
  for (const auto& [x, y] : ends) {
    EXPECT_EQ(at(probe.exp2, x), y);
    EXPECT_EQ(at(probe.exp, x), y);
  }
  EXPECT_TRUE(std::isnan(at(probe.exp2, nan)) && std::isnan(at(probe.exp, nan)));
}

TEST_P(Simd, Exp2KeepsTheLastSubnormals) {
  for (int i = 0; i < 60; ++i) {
    const float x = -149.0F + 0.37F * static_cast<float>(i);
    // They are 2^-149 apart.
    EXPECT_NEAR(at(INLAY_SELECT(simd_probe).exp2, x), std::exp2(static_cast<double>(x)), 0x1p-149);
  }
}

// Ties, their neighbours, the ends of the range, NaNs of both kinds; the processor's own
// conversion, where there is one, gives the same.
TEST_P(Simd, StoresTheNearestBf16) {
  const std::pair<u32, u16> cases[] = {
      {0x3F800000, 0x3F80}, {0x3F808000, 0x3F80}, {0x3F808001, 0x3F81}, {0x3F818000, 0x3F82},
      {0x3F817FFF, 0x3F81}, {0xBF808001, 0xBF81}, {0x7F7FFFFF, 0x7F80}, {0x7F800000, 0x7F80},
      {0xFF800000, 0xFF80}, {0x7FC12345, 0x7FC1}, {0x7F800001, 0x7FC0}, {0xFFA00000, 0xFFE0},
      {0x00000000, 0x0000}, {0x80000000, 0x8000}, {0x00800000, 0x0080}, {0x007FFFFF, 0x0000},
      {0x807FFFFF, 0x8000}, {0x00000001, 0x0000}, {0x0080FFFF, 0x0081}};
  std::vector<float> x;
  for (const auto& [from, to] : cases) {
    x.push_back(std::bit_cast<float>(from));
  }
  std::vector<u16> y(x.size());
  const i64 n = std::ssize(x);
  INLAY_SELECT(simd_probe).store_bf16(x.data(), n, y.data());
  for (i64 i = 0; i < n; ++i) {
    EXPECT_EQ(y[i], cases[i].second) << std::hex << cases[i].first;
  }
  if (const GemmBf16* own = INLAY_SELECT_DOTS(kGemmBf16)) {
    std::vector<u16> z(x.size());
    own->round(x.data(), n, z.data());
    EXPECT_EQ(y, z);
  }
}

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
