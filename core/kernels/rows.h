// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <cstddef>
#include <span>

#include "core/types.h"

/// Values moved about, as they are.
namespace inlay::kernels {

/// Elements of `size` bytes at from + sum of index * from_strides, to the same place of `to`; both
/// strides in bytes, for the first `rank` axes of `shape`. The two do not overlap.
struct StridedCopy {
  static constexpr int kMaxRank = 8;
  const std::byte* from = nullptr;
  std::byte* to = nullptr;
  i64 size = 4;
  int rank = 0;
  std::array<i64, kMaxRank> shape{}, from_strides{}, to_strides{};
};
void copy_strided(const StridedCopy& args);

void zero(std::span<std::byte> bytes);

/// y [ids, R] of x [R, V]: y[t, r] = x[r, ids[t]].
void gather_columns(std::span<const float> x, i64 V, std::span<const i32> ids, std::span<float> y);
/// Its transpose: dx[r, ids[t]] += dy[t, r], t in order (dx is not cleared).
void gather_columns_backward(std::span<const i32> ids, std::span<const float> dy, i64 V,
                             std::span<float> dx);

/// y row rows[i] = x row i, for rows of `width` values of which those of x start `x_stride` values
/// apart. No row may be named twice.
void write_rows(std::span<const float> x, i64 x_stride, i64 width, std::span<const i32> rows,
                std::span<float> y);

}  // namespace inlay::kernels
