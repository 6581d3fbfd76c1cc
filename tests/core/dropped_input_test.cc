// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/dropped_input.h"

#include <gtest/gtest.h>

#include "core/kernels/elementwise.h"
#include "core/random.h"
#include "core/tensor/tensor.h"
#include "tests/support/isas.h"

namespace inlay {
namespace {

using kernels::DroppedFactor;
using kernels::DroppedInput;
using kernels::KeptDraw;
using testing::for_each_isa;

constexpr float kDropout = 0.3F;

std::vector<float> uniform(i64 n, const char* name) {
  std::vector<float> out(static_cast<std::size_t>(n));
  fill_uniform(out, RandomKey(2).with(name), -1.0F, 1.0F);
  return out;
}

TEST(DroppedInput, KeepsTheValuesThatDropoutKeeps) {
  for_each_isa([] {
    for (const i64 values : {1, 3, 31, 32, 33, 64, 65, 1000, 65536, 65601, 200003}) {
      const std::vector<float> ones(static_cast<std::size_t>(values), 1.0F);
      std::vector<float> dropped(ones.size());
      kernels::dropout(ones, kDropout, 77, dropped);
      std::vector<u32> kept(static_cast<std::size_t>(kernels::kept_words(values)));
      std::vector<u32> others(kept.size());
      const KeptDraw draws[] = {{kDropout, 78, others.data()}, {kDropout, 77, kept.data()}};
      kernels::draw_kept(values, draws);
      for (i64 i = 0; i < values; ++i) {
        ASSERT_EQ(((kept[i / 32] >> (i % 32)) & 1U) != 0, dropped[i] != 0.0F)
            << "value " << i << " of " << values;
      }
    }
  });
}

TEST(DroppedInput, DrawsTheSameBitsOnEveryInstructionSet) {
  std::vector<u32> expected;
  for_each_isa([&] {
    std::vector<u32> kept(static_cast<std::size_t>(kernels::kept_words(1 << 16)));
    const KeptDraw draw = {0.05F, 0x123456789ABCDEFU, kept.data()};
    kernels::draw_kept(1 << 16, {&draw, 1});
    kept.resize(kept.size() - 2);  // the room behind the bits
    expected = expected.empty() ? kept : expected;
    EXPECT_EQ(kept, expected);
  });
}

// Two factors, the first behind a column of t and u that is another's, against sums in double.
TEST(DroppedInput, ProductsMatchTheirTwins) {
  for_each_isa([] {
    for (const i64 rows : {1, 2, 3, 4, 5, 9, 131}) {
      for (const i64 columns : {1, 7, 16, 65, 511, 512, 513, 1030}) {
        const i64 ranks[2] = {rows % 2 == 0 ? 4 : 9, 13};
        const i64 t_columns = 1 + ranks[0] + ranks[1];
        const Tensor x = Tensor::empty({rows, columns});
        fill_uniform(x.mutable_values(), RandomKey(4), -1.0F, 1.0F);
        const Tensor narrow = x.to(DType::kBf16);
        const std::vector<float> a = uniform((ranks[0] + ranks[1]) * columns, "a");
        const std::vector<float> u = uniform(rows * t_columns, "u");
        std::vector<u32> kept[2];
        DroppedFactor factors[2];
        for (int j = 0; j < 2; ++j) {
          kept[j].resize(static_cast<std::size_t>(kernels::kept_words(rows * columns)));
          const KeptDraw draw = {kDropout, 5 + static_cast<u64>(j), kept[j].data()};
          kernels::draw_kept(rows * columns, {&draw, 1});
          factors[j] = {a.data() + (j == 0 ? 0 : ranks[0] * columns), ranks[j],
                        j == 0 ? 1 : 1 + ranks[0], 0.5F, kept[j].data()};
        }
        for (const bool bf16 : {false, true}) {
          const Tensor values = bf16 ? narrow.to(DType::kF32) : x;
          const auto value = [&](int j, i64 i) {
            const bool keeps = ((kept[j][i / 32] >> (i % 32)) & 1U) != 0;
            return keeps ? double{values.values()[i]} : 0.0;
          };
          DroppedInput input;
          input.rows = rows;
          input.columns = columns;
          if (bf16) {
            input.x_bf16 = narrow.data<const u16>();
          } else {
            input.x = x.data<const float>();
          }
          std::vector<float> t(static_cast<std::size_t>(rows * t_columns), 7.0F);
          kernels::dropped_products(input, factors, t.data(), t_columns);
          std::vector<float> dA(static_cast<std::size_t>(t_columns * columns), 7.0F);
          std::vector<float> scratch(
              static_cast<std::size_t>(kernels::dropped_outer_products_scratch(input, t_columns)));
          kernels::dropped_outer_products(input, factors, u.data(), t_columns, dA.data(), scratch);

          // Sums of at most 1030 products of at most 1, in f32.
          constexpr double kTolerance = 1030 * 0x1p-23;
          for (int j = 0; j < 2; ++j) {
            for (i64 k = 0; k < ranks[j]; ++k) {
              const float* row = factors[j].a + k * columns;
              const i64 column = factors[j].first + k;
              for (i64 r = 0; r < rows; ++r) {
                double sum = 0.0;
                for (i64 c = 0; c < columns; ++c) {
                  const i64 i = r * columns + c;
                  sum += value(j, i) * double{row[c]};
                }
                ASSERT_NEAR(t[r * t_columns + column], 0.5 * sum, kTolerance);
              }
              for (i64 c = 0; c < columns; ++c) {
                double sum = 0.0;
                for (i64 r = 0; r < rows; ++r) {
                  sum += double{u[r * t_columns + column]} * value(j, r * columns + c);
                }
                ASSERT_NEAR(dA[column * columns + c], sum, kTolerance);
              }
            }
          }
          // What is another's stays as it was.
          EXPECT_EQ(t[0], 7.0F);
          EXPECT_EQ(dA[0], 7.0F);
        }
      }
    }
  });
}

}  // namespace
}  // namespace inlay
