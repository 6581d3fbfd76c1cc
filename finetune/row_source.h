// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>

#include "core/io/byte_source.h"
#include "core/tensor/tensor.h"

namespace inlay {

/// Rows of a matrix that need not exist as one: decodes rows [begin, end), f32
/// [end - begin, width].
using RowFunction = std::function<Tensor(i64 begin, i64 end)>;

/// The bytes of `count` rows in `dtype` (f32, bf16 or f16), made piece by piece as they are
/// written.
ByteSource row_source(RowFunction rows, i64 count, i64 width, DType dtype);

/// The bytes of a contiguous tensor, copied from its device as they are asked for.
ByteSource tensor_source(const Tensor& t);

}  // namespace inlay
