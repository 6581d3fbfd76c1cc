// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/rows.h"

#include <algorithm>
#include <cstring>

#include "core/parallel.h"

namespace inlay::kernels {
namespace {

// Everything from `axis` on, at the two places.
void copy_from_axis(const StridedCopy& args, int axis, const std::byte* from, std::byte* to) {
  if (axis == args.rank) {
    std::memcpy(to, from, args.size);
    return;
  }
  const i64 count = args.shape[axis];
  // Most copies are of whole rows that lie side by side on both ends: one call moves them.
  if (axis == args.rank - 1 && args.from_strides[axis] == args.size &&
      args.to_strides[axis] == args.size) {
    std::memcpy(to, from, count * args.size);
    return;
  }
  for (i64 i = 0; i < count; ++i) {
    copy_from_axis(args, axis + 1, from + i * args.from_strides[axis],
                   to + i * args.to_strides[axis]);
  }
}

}  // namespace

void copy_strided(const StridedCopy& args) {
  if (std::ranges::find(std::span(args.shape).first(args.rank), 0) ==
      std::span(args.shape).first(args.rank).end()) {
    copy_from_axis(args, 0, args.from, args.to);
  }
}

void zero(std::span<std::byte> bytes) {
  std::memset(bytes.data(), 0, bytes.size());
}

void gather_columns(std::span<const float> x, i64 V, std::span<const i32> ids, std::span<float> y) {
  const i64 R = static_cast<i64>(x.size()) / V;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    for (i64 r = 0; r < R; ++r) {
      y[static_cast<i64>(t) * R + r] = x[r * V + ids[t]];
    }
  }
}

void gather_columns_backward(std::span<const i32> ids, std::span<const float> dy, i64 V,
                             std::span<float> dx) {
  const i64 R = static_cast<i64>(dx.size()) / V;
  for (std::size_t t = 0; t < ids.size(); ++t) {
    for (i64 r = 0; r < R; ++r) {
      dx[r * V + ids[t]] += dy[static_cast<i64>(t) * R + r];
    }
  }
}

void write_rows(std::span<const float> x, i64 x_stride, i64 width, std::span<const i32> rows,
                std::span<float> y) {
  constexpr i64 kRows = 64;  // a generated token writes one row a sequence: not worth a thread
  parallel_rows(static_cast<i64>(rows.size()), kRows, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      std::copy_n(x.data() + i * x_stride, width, y.data() + rows[i] * width);
    }
  });
}

}  // namespace inlay::kernels
