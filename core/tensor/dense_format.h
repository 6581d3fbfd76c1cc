// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "core/kernels/matrix_format.h"
#include "core/tensor/dtype.h"

/// The formats of a stored matrix that are one float a value, and those floats' dtypes.
namespace inlay {

struct DenseFormat {
  DType dtype;
  kernels::MatrixFormat format;
};
inline constexpr DenseFormat kDenseFormats[] = {{DType::kF32, kernels::MatrixFormat::kF32},
                                                {DType::kF16, kernels::MatrixFormat::kF16},
                                                {DType::kBf16, kernels::MatrixFormat::kBf16}};

/// Nothing for a dtype that no product takes: integers, f64.
constexpr std::optional<kernels::MatrixFormat> dense_format(DType dtype) {
  for (const DenseFormat& dense : kDenseFormats) {
    if (dense.dtype == dtype) {
      return dense.format;
    }
  }
  return std::nullopt;
}

/// Nothing for blocks and 4-bit codes.
constexpr std::optional<DType> dense_dtype(kernels::MatrixFormat format) {
  for (const DenseFormat& dense : kDenseFormats) {
    if (dense.format == format) {
      return dense.dtype;
    }
  }
  return std::nullopt;
}

}  // namespace inlay
