// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/kernels/matrix.h"
#include "core/types.h"

namespace inlay::kernels {

/// y[t] = table row ids[t], decoded to f32; ids in [0, table.rows).
void embedding(const MatrixRef& table, std::span<const i32> ids, std::span<float> y);
/// dtable[ids[t]] += dy[t], t in order.
void embedding_backward(std::span<const i32> ids, std::span<const float> dy, i64 width,
                        std::span<float> dtable);

/// y[i] = x row rows[i], and its transpose: dx row rows[i] += dy[i] (dx is not cleared).
void gather_rows(std::span<const float> x, i64 width, std::span<const i32> rows,
                 std::span<float> y);

}  // namespace inlay::kernels
