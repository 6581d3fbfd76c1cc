// SPDX-License-Identifier: Apache-2.0
#include "tests/support/fence.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/ops/elementwise.h"

namespace inlay {
namespace {

TEST(Fence, LetsKernelsWork) {
  const UseBackend use(fence_backend());
  const Tensor x = Tensor::from({1.0F, 2.0F}, {2});
  EXPECT_EQ(add(x, x).to_vector(), (std::vector<float>{2.0F, 4.0F}));
  EXPECT_EQ(x.transpose(0, 0).clone().to_vector(), (std::vector<float>{1.0F, 2.0F}));
}

TEST(Fence, CopiesWhatItBorrows) {
  const UseBackend use(fence_backend());
  const std::vector<float> values = {1.0F, 2.0F};
  const Tensor t =
      Tensor::borrow(std::as_bytes(std::span(values)), {2}, DType::kF32, std::make_shared<int>(0));
  EXPECT_NE(t.raw(), static_cast<const void*>(values.data()));
  EXPECT_TRUE(t.read_only());
  EXPECT_EQ(t.to_vector(), values);
}

TEST(Fence, RefusesToShowItsValues) {
  const UseBackend use(fence_backend());
  EXPECT_THROW(Tensor::zeros({2}).values(), Error);
}

// What all the tests that run over the fence rely on.
TEST(FenceDeathTest, EndsWhoeverTouchesItsMemory) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(
      {
        const UseBackend use(fence_backend());
        const Tensor t = Tensor::zeros({2});
        const volatile float read = t.data<const float>()[0];
        (void)read;
      },
      ::testing::KilledBySignal(SIGSEGV), "");
  EXPECT_EXIT(
      {
        const UseBackend use(fence_backend());
        Tensor::zeros({2}).data<float>()[0] = 1.0F;
      },
      ::testing::KilledBySignal(SIGSEGV), "");
}

}  // namespace
}  // namespace inlay
