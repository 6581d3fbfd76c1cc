// SPDX-License-Identifier: Apache-2.0
#include "core/ops/rows.h"

#include <gtest/gtest.h>

#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "tests/support/error_text.h"

namespace inlay {
namespace {

TEST(WriteRows, PutsEachRowInItsPlaceAndLeavesTheOthers) {
  for (const i64 n : {0, 1, 63, 64, 65, 200}) {  // 64 rows are one task
    for (const bool strided : {false, true}) {
      constexpr i64 kWidth = 5;
      const i64 total = n + 3;
      const Tensor into = Tensor::full({total, kWidth}, -1.0F);
      Tensor wide = Tensor::empty({n, 3 * kWidth});
      fill_uniform(wide.mutable_values(), RandomKey(1), 0.0F, 1.0F);
      const Tensor view = wide.slice(1, kWidth, 2 * kWidth);
      const Tensor x = strided ? view : view.contiguous();
      std::vector<i32> rows;
      for (i64 i = 0; i < n; ++i) {
        rows.push_back(static_cast<i32>(total - 2 - i));  // backwards, the last row left out
      }
      write_rows(into, rows, x);
      for (i64 r = 0; r < total; ++r) {
        const i64 from = total - 2 - r;
        for (i64 c = 0; c < kWidth; ++c) {
          const float expected =
              from >= 0 && from < n ? wide.values()[from * 3 * kWidth + kWidth + c] : -1.0F;
          ASSERT_EQ(into.values()[r * kWidth + c], expected) << n << " rows, row " << r;
        }
      }
    }
  }
}

TEST(WriteRows, NamesTheShapesThatDoNotFit) {
  const std::vector<i32> rows = {0};
  EXPECT_EQ(error_text<ShapeError>([&] {
              write_rows(Tensor::zeros({4, 3}), rows, Tensor::zeros({1, 2}));
            }),
            "write_rows: [1, 2] as 1 rows of [4, 3]");
}

}  // namespace
}  // namespace inlay
