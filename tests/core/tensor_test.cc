// SPDX-License-Identifier: Apache-2.0
#include "core/tensor/tensor.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <memory>
#include <vector>

#include "core/error.h"
#include "core/tensor/frozen_matrix.h"

namespace inlay {
namespace {

TEST(Tensor, ViewsShareTheirStorage) {
  const Tensor t = Tensor::from({0, 1, 2, 3, 4, 5}, {2, 3});
  const Tensor turned = t.transpose(0, 1);
  EXPECT_EQ(turned.shape(), (Shape{3, 2}));
  EXPECT_FALSE(turned.is_contiguous());
  EXPECT_EQ(turned.to_vector(), (std::vector<float>{0, 3, 1, 4, 2, 5}));
  const Tensor right = t.slice(1, 1, 3);
  EXPECT_EQ(right.to_vector(), (std::vector<float>{1, 2, 4, 5}));
  EXPECT_TRUE(right.same_storage(t));
  t.mutable_values()[4] = 40;
  EXPECT_EQ(right.to_vector(), (std::vector<float>{1, 2, 40, 5}));
  EXPECT_EQ(t.view({3, 2}).slice(0, 2, 3).to_vector(), (std::vector<float>{40, 5}));
}

TEST(Tensor, UniquenessSeesEverySharer) {
  Tensor t = Tensor::zeros({2, 2});
  EXPECT_TRUE(t.is_unique());
  {
    const Tensor handle = t;
    EXPECT_FALSE(t.is_unique());
  }
  {
    const Tensor view = t.slice(0, 0, 1);
    EXPECT_FALSE(t.is_unique());
    EXPECT_FALSE(view.is_unique());
  }
  EXPECT_TRUE(t.is_unique());
}

TEST(Tensor, BorrowedBytesAreReadOnlyAndKeepTheirOwner) {
  auto owner = std::make_shared<std::vector<float>>(std::vector<float>{1, 2, 3, 4});
  const std::weak_ptr<std::vector<float>> watch = owner;
  Tensor t = Tensor::borrow(std::as_bytes(std::span(*owner)), {2, 2}, DType::kF32, owner);
  owner.reset();
  EXPECT_FALSE(watch.expired());
  EXPECT_EQ(t.to_vector(), (std::vector<float>{1, 2, 3, 4}));
  EXPECT_THROW(t.mutable_values(), Error);
  EXPECT_FALSE(t.is_unique());
  t = Tensor();
  EXPECT_TRUE(watch.expired());
}

TEST(Tensor, ShapeErrorsNameTheShapes) {
  const Tensor t = Tensor::zeros({2, 3});
  EXPECT_THROW(t.view({4, 2}), ShapeError);
  EXPECT_THROW(t.slice(0, 1, 3), ShapeError);
  EXPECT_THROW(t.dim(2), ShapeError);
  EXPECT_THROW((Shape{-1, 2}), ShapeError);
  try {
    check_shape("rms_norm: weight", t, {64});
    FAIL() << "no error";
  } catch (const ShapeError& e) {
    EXPECT_STREQ(e.what(), "rms_norm: weight: expected [64], found [2, 3]");
  }
}

TEST(Tensor, TypedAccessRefusesTheWrongType) {
  const Tensor t = Tensor::zeros({4}, DType::kI32);
  EXPECT_EQ(t.span<const i32>().size(), 4U);
  EXPECT_THROW(t.values(), Error);
}

TEST(Tensor, HalfPrecisionRoundsToNearestEven) {
  // bf16 keeps 8 bits: 1 + 2^-8 lies half way and goes to the even 1; 1 + 3 * 2^-8 goes up to 1 +
  // 2^-6.
  const Tensor x = Tensor::from({1.0F + 0x1p-8F, 1.0F + 0x1.8p-7F, -3.0F, 0x1p-133F}, {4});
  EXPECT_EQ(x.to(DType::kBf16).to_vector(),
            (std::vector<float>{1.0F, 1.0F + 0x1p-6F, -3.0F, 0x1p-133F}));
  // f16 keeps 11 bits, its least value is 2^-24, and 65520 is the first to become infinite.
  const Tensor y =
      Tensor::from({1.0F + 0x1p-11F, 0x1p-24F, 0x1p-25F, 65519.0F, 65520.0F, -2.5F}, {6});
  EXPECT_EQ(y.to(DType::kF16).to_vector(),
            (std::vector<float>{1.0F, 0x1p-24F, 0.0F, 65504.0F,
                                std::numeric_limits<float>::infinity(), -2.5F}));
  const Tensor nan = Tensor::from({std::nanf("")}, {1});
  EXPECT_TRUE(std::isnan(nan.to(DType::kBf16).to_vector()[0]));
  EXPECT_TRUE(std::isnan(nan.to(DType::kF16).to_vector()[0]));
}

TEST(Tensor, EveryHalfSurvivesARoundTrip) {
  Tensor bits = Tensor::empty({1 << 16}, DType::kF16);
  for (i64 i = 0; i < bits.numel(); ++i) {
    bits.span<u16>()[i] = static_cast<u16>(i);
  }
  const Tensor again = bits.to(DType::kF32).to(DType::kF16);
  for (i64 i = 0; i < bits.numel(); ++i) {
    const bool nan = (i & 0x7C00) == 0x7C00 && (i & 0x3FF) != 0;
    if (!nan) {
      ASSERT_EQ(again.span<const u16>()[i], i);
    }
  }
}

TEST(FrozenMatrix, ReadsRowsThroughItsMap) {
  const Tensor t = Tensor::from({0, 1, 10, 11, 20, 21}, {3, 2});
  const FrozenMatrix m(t);
  EXPECT_EQ(m.decode(1, 3).to_vector(), (std::vector<float>{10, 11, 20, 21}));
  const FrozenMatrix turned = m.with_row_map({2, 0, 1});
  EXPECT_EQ(turned.decode(0, 3).to_vector(), (std::vector<float>{20, 21, 0, 1, 10, 11}));
  EXPECT_EQ(turned.bytes(), 24);
}

}  // namespace
}  // namespace inlay
