// SPDX-License-Identifier: Apache-2.0
#include "finetune/arithmetic.h"

#include <gtest/gtest.h>

#include <cmath>
#include <vector>

#include "core/kernels/gemm.h"
#include "tests/support/isas.h"

namespace inlay {
namespace {

using kernels::Isa;

constexpr GemmCompute kF32 = GemmCompute::kF32, kBf16 = GemmCompute::kBf16,
                      kInt8 = GemmCompute::kInt8;
constexpr Bf16Products kNative = Bf16Products::kNative, kAsF32 = Bf16Products::kF32;

// Rates of processors, GFLOP/s a thread.
constexpr ProductRates kNoBf16 = {115e9, 0.0}, kZen4 = {115e9, 231e9}, kHiddenAmx = {179e9, 87e9},
                       kSame = {100e9, 104e9}, kAmx = {128e9, 2300e9};

RunConfig config_of(AutoOr<GemmCompute> compute, AutoOr<Bf16Products> products) {
  RunConfig config;
  config.training.compute_dtype = compute;
  config.training.bf16_products = products;
  return config;
}

TEST(Arithmetic, IsTheFasterByTheMeasuredRates) {
  const AutoOr<GemmCompute> automatic;
  const AutoOr<Bf16Products> any;
  const struct {
    ProductRates rates;
    AutoOr<GemmCompute> compute;
    AutoOr<Bf16Products> products;
    GemmCompute expected;
    AutoOr<Bf16Products> expected_products;
    bool measured;
  } cases[] = {
      {kNoBf16, automatic, any, kF32, any, true},
      {kZen4, automatic, any, kBf16, kNative, true},
      {kAmx, automatic, any, kBf16, kNative, true},
      {kHiddenAmx, automatic, any, kF32, any, true},
      {kSame, automatic, any, kF32, any, true},  // nothing gained: the more exact one
      // bf16 by name keeps its meaning, multiplied by what is faster.
      {kNoBf16, kBf16, any, kBf16, kAsF32, true},
      {kZen4, kBf16, any, kBf16, kNative, true},
      {kHiddenAmx, kBf16, any, kBf16, kAsF32, true},
      {kAmx, kInt8, any, kInt8, kNative, true},
      {kHiddenAmx, kInt8, any, kInt8, kAsF32, true},
      // What the config says stands, whatever was measured.
      {kAmx, kF32, any, kF32, any, false},
      {kHiddenAmx, kBf16, kNative, kBf16, kNative, false},
      {kAmx, kBf16, kAsF32, kBf16, kAsF32, false},
      {kAmx, automatic, kAsF32, kF32, kAsF32, false},
      {kAmx, automatic, kNative, kBf16, kNative, true},
      {kHiddenAmx, automatic, kNative, kF32, kNative, true},
  };
  for (const auto& c : cases) {
    SCOPED_TRACE(str(choice_name(c.compute), ", ", choice_name(c.products), " where f32 has ",
                     c.rates.f32, " and bf16 ", c.rates.bf16));
    const RunConfig given = config_of(c.compute, c.products);
    const RunConfig resolved = with_arithmetic(given, c.rates);
    EXPECT_EQ(resolved.training.compute_dtype, c.expected);
    EXPECT_EQ(resolved.training.bf16_products, c.expected_products);
    EXPECT_EQ(resolved.training.activation_dtype, c.expected == kF32 ? DType::kF32 : DType::kBf16);
    EXPECT_EQ(arithmetic_of(given, c.rates).rates.has_value(), c.measured);
    // A resolved config is not resolved again.
    const RunConfig again = with_arithmetic(resolved, kZen4);
    EXPECT_EQ(again.training.compute_dtype, c.expected);
    EXPECT_EQ(again.training.bf16_products, c.expected_products);
  }
}

// A minute in which one of the two loops ran a tenth slower than it can changes no choice.
TEST(Arithmetic, IsNotFlippedByANoisyMinute) {
  for (const ProductRates& rates : {kZen4, kHiddenAmx, kSame, kAmx}) {
    for (const double f32 : {0.9, 1.0}) {
      for (const double bf16 : {0.9, 1.0}) {
        EXPECT_EQ(bf16_is_faster({rates.f32 * f32, rates.bf16 * bf16}), bf16_is_faster(rates));
      }
    }
  }
}

TEST(Arithmetic, TheTypeThatWeightsAreDecodedToSpeaksForAuto) {
  RunConfig config;
  config.quantization.emplace().bnb_4bit_compute_dtype = kBf16;
  EXPECT_EQ(with_arithmetic(config, kNoBf16).training.compute_dtype, kBf16);
  config.quantization->bnb_4bit_compute_dtype = kF32;
  EXPECT_EQ(with_arithmetic(config, kAmx).training.compute_dtype, kF32);
}

TEST(Arithmetic, SaysWhy) {
  const auto text = [](const RunConfig& config, const ProductRates& rates) {
    return arithmetic_text(arithmetic_of(config, rates));
  };
  EXPECT_EQ(text({}, kZen4),
            "bf16 (measured, a thread: bf16 by the processor's instruction 231 GFLOP/s, f32 115)");
  EXPECT_EQ(text({}, kHiddenAmx),
            "f32 (measured, a thread: bf16 by the processor's instruction 87 GFLOP/s, f32 179)");
  EXPECT_EQ(text(config_of(kBf16, {}), kHiddenAmx),
            "bf16, multiplied as f32 (measured, a thread: bf16 by the processor's instruction 87 "
            "GFLOP/s, f32 179)");
  EXPECT_EQ(text(config_of(kF32, {}), kZen4), "f32 (as the config says)");
}

TEST(Arithmetic, MeasuresRatesThatHoldStill) {
  const ProductRates rates = measure_product_rates();
  EXPECT_GT(rates.f32, 1e8);  // a processor of this century
  EXPECT_LT(rates.f32, 1e12);
  EXPECT_EQ(rates.bf16 > 0.0, !testing::supported_dot_isas().empty());
  EXPECT_EQ(product_rates().f32, product_rates().f32);  // measured once
}

// One product of operands that are rounded to bf16, with `products`.
std::vector<float> product_bits(Bf16Products products) {
  constexpr i64 kTokens = 37, kOutputs = 50, kInputs = 129;
  std::vector<float> a(kTokens * kInputs), b(kOutputs * kInputs), c(kTokens * kOutputs);
  for (std::size_t i = 0; i < a.size(); ++i) {
    a[i] = std::sin(static_cast<float>(i));
  }
  for (std::size_t i = 0; i < b.size(); ++i) {
    b[i] = std::cos(static_cast<float>(3 * i));
  }
  const Bf16Products before = kernels::bf16_products();
  kernels::set_bf16_products(products);
  kernels::GemmArgs args;
  args.M = kTokens;
  args.N = kOutputs;
  args.K = kInputs;
  args.a = a.data();
  args.a_row_stride = kInputs;
  args.b.rows = kOutputs;
  args.b.cols = kInputs;
  args.b.data = b.data();
  args.b.row_bytes = kInputs * i64{sizeof(float)};
  args.b_transposed = true;
  args.c = c.data();
  args.c_row_stride = kOutputs;
  args.compute = kBf16;
  std::vector<float> scratch(kernels::gemm_scratch(args));
  kernels::gemm(args, scratch);
  EXPECT_EQ(kernels::has_bf16_products(),
            products == kNative && kernels::active_isa() >= Isa::kAvx512Bf16);
  kernels::set_bf16_products(before);
  return c;
}

// Multiplied as f32, bf16 has the bits of a processor of the same kind without the instruction.
TEST(Arithmetic, MultipliesBf16AsF32AsProcessorsWithoutTheInstructionDo) {
  for (const Isa isa : testing::supported_dot_isas()) {
    const testing::IsaScope scope(isa);
    const std::vector<float> own = product_bits(kAsF32);
    const testing::IsaScope without(Isa::kAvx512);
    EXPECT_EQ(own, product_bits(kNative)) << kernels::isa_name(isa);
  }
  EXPECT_EQ(product_bits(kNative).size(), product_bits(kAsF32).size());
}

}  // namespace
}  // namespace inlay
