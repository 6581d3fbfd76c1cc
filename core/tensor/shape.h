// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <initializer_list>
#include <span>
#include <string>

#include "core/types.h"

namespace inlay {

/// The sizes of a tensor's axes, slowest first; rank 0 is a scalar. At most kMaxRank axes.
class Shape {
 public:
  static constexpr int kMaxRank = 6;

  Shape() = default;
  Shape(std::initializer_list<i64> dims) : Shape(std::span<const i64>(dims.begin(), dims.size())) {}
  /// Throws ShapeError for a negative size or too many axes.
  explicit Shape(std::span<const i64> dims);

  int rank() const { return rank_; }
  /// Size of axis `axis`; negative axes count from the end. Throws ShapeError outside the rank.
  i64 operator[](int axis) const { return dims_[checked_axis(axis)]; }
  i64 numel() const;
  std::span<const i64> dims() const { return {dims_.data(), static_cast<std::size_t>(rank_)}; }

  /// This shape with axis `axis` set to `size`.
  Shape with(int axis, i64 size) const;
  int checked_axis(int axis) const;

  bool operator==(const Shape& other) const;
  /// "[2, 3]"
  std::string to_string() const;

 private:
  std::array<i64, kMaxRank> dims_{};
  int rank_ = 0;
};

}  // namespace inlay
