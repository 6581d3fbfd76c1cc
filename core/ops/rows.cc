// SPDX-License-Identifier: Apache-2.0
#include "core/ops/rows.h"

#include <algorithm>

#include "core/error.h"

namespace inlay {

void write_rows(const Tensor& into, const Indices& rows, const Tensor& x) {
  const i64 N = rows.size();
  if (into.rank() != 2 || x.rank() != 2 || x.dim(0) != N || x.dim(1) != into.dim(1)) {
    throw ShapeError(str("write_rows: ", x.shape().to_string(), " as ", N, " rows of ",
                         into.shape().to_string()));
  }
  INLAY_ASSERT(into.is_contiguous() && x.stride(1) == 1);
  INLAY_ASSERT(std::ranges::all_of(rows.host(), [&](i32 r) { return r >= 0 && r < into.dim(0); }));
  if (N == 0) {
    return;
  }
  // A view of some columns: the last row ends before the next would.
  const i64 extent = (N - 1) * x.stride(0) + x.dim(1);
  on(into).write_rows({x.data<const float>(), static_cast<std::size_t>(extent)}, x.stride(0),
                      x.dim(1), rows.device(), into.out());
}

}  // namespace inlay
