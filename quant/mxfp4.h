// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/tensor/frozen_matrix.h"

/// MXFP4 (OCP Microscaling Formats 1.0, 2023) as gpt-oss's safetensors have it: blocks of 32 values
/// along a row, each a 4-bit float, of two a byte the first in the low nibble; and apart from them a
/// byte s for every block, whose scale is 2^(s - 127). (GGUF's blocks, with the scale before 16
/// bytes in another order, are MatrixFormat::kMxfp4.)
namespace inlay {

inline constexpr i64 kMxfp4Block = 32;

/// The matrix [rows, cols] of blocks [rows, cols / 32, 16] u8 and scales [rows, cols / 32] u8, both
/// as they are.
FrozenMatrix mxfp4_matrix(const Tensor& blocks, const Tensor& scales, i64 rows, i64 cols);

}  // namespace inlay
