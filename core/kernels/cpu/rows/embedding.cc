// SPDX-License-Identifier: Apache-2.0
#include "core/kernels/embedding.h"

#include <algorithm>

#include "core/kernels/cpu/rows/elementwise.isa.h"
#include "core/parallel.h"

namespace inlay::kernels {
namespace {

constexpr i64 kRowsATask = 32;

}  // namespace

void embedding(const MatrixRef& table, std::span<const i32> ids, std::span<float> y) {
  parallel_rows(static_cast<i64>(ids.size()), kRowsATask, [&](i64 begin, i64 end) {
    for (i64 t = begin; t < end; ++t) {
      decode_row(table, ids[t], 0, table.cols, y.data() + t * table.cols);
    }
  });
}

void embedding_backward(std::span<const i32> ids, std::span<const float> dy, i64 width,
                        std::span<float> dtable) {
  // Split over columns: two tokens may share a row, and its sum must have one order.
  constexpr i64 kColumns = 64;
  parallel_rows(width, kColumns, [&](i64 begin, i64 end) {
    for (std::size_t t = 0; t < ids.size(); ++t) {
      float* sum = dtable.data() + ids[t] * width + begin;
      INLAY_SELECT(elementwise)
          .add_scaled(sum, dy.data() + static_cast<i64>(t) * width + begin, 1.0F, sum, end - begin);
    }
  });
}

void gather_rows(std::span<const float> x, i64 width, std::span<const i32> rows,
                 std::span<float> y) {
  parallel_rows(static_cast<i64>(rows.size()), kRowsATask, [&](i64 begin, i64 end) {
    for (i64 i = begin; i < end; ++i) {
      std::copy_n(x.data() + rows[i] * width, width, y.data() + i * width);
    }
  });
}

}  // namespace inlay::kernels
