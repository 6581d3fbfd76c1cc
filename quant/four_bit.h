// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/config/choice.h"
#include "core/kernels/four_bit.h"
#include "core/tensor/dtype.h"
#include "core/tensor/frozen_matrix.h"
#include "core/tensor/tensor.h"
#include "core/types.h"

/// 4-bit weights as QLoRA has them (Dettmers et al. 2023, arXiv:2305.14314, section 3), stored as
/// bitsandbytes stores them, bit for bit.
///
/// The matrix is flattened by rows and cut into blocks of `block_size` values (the last may be
/// short; blocks cross the ends of rows). A block keeps its largest magnitude, and every value
/// becomes the index of the nearest of 16 levels of [-1, 1]:
///
///   absmax_b = max |x|,   z = x * (1 / absmax_b),   code = number of thresholds below z
///   x' = level[code] * absmax_b
///
/// NF4's levels are quantiles of a normal distribution and ascend; FP4's are a sign and three bits
/// of a tiny float, in the order of their bits. Thresholds lie between neighbouring levels; a tie
/// goes to the smaller (for FP4, nearer to zero).
///
/// Two codes share a byte, the first in the high nibble. At 64 values a block the scales cost half
/// a bit a weight; double quantisation stores them in 8 bits too (eq. 5 and 6 of the paper):
///
///   offset = mean(absmax),   a_c = max |absmax - offset| over 256 blocks,
///   absmax'_b = code8[q_b] * a_c + offset
namespace inlay {

using kernels::four_bit_levels;
using kernels::FourBitType;
using kernels::kNestedBlockSize;
using kernels::quantize_absmax;
using kernels::quantize_four_bit_blocks;

/// "nf4", "fp4": in configs, and in the names of bitsandbytes' tensors.
template <>
struct ChoicesOf<FourBitType> {
  static std::span<const Choice<FourBitType>> all();
};

struct FourBitOptions {
  FourBitType type = FourBitType::kNf4;
  i64 block_size = 64;  // a power of two in [32, 4096]
  bool double_quant = true;
};

/// A quantised matrix and all that is needed to read it. The tensors may lie in a mapped file.
struct FourBitMatrix {
  FourBitType type = FourBitType::kNf4;
  i64 rows = 0;
  i64 cols = 0;
  i64 block_size = 64;
  /// What the matrix was before, and what a checkpoint asks to decode it to.
  DType dtype = DType::kF32;
  Tensor codes;   // [ceil(rows * cols / 2)] u8, two a byte
  Tensor levels;  // [16] f32
  Tensor absmax;  // [blocks] f32; u8 with double quantisation

  /// Double quantisation; otherwise undefined.
  Tensor nested_absmax;  // [ceil(blocks / nested_block_size)] f32
  Tensor nested_levels;  // [256] f32
  i64 nested_block_size = kNestedBlockSize;
  float offset = 0.0F;

  bool double_quant() const { return nested_absmax.defined(); }
  i64 blocks() const { return (rows * cols + block_size - 1) / block_size; }
  /// The same as something that can stand for a weight; shares the storage.
  FrozenMatrix frozen() const;
};

/// Quantises a matrix in any storage, decoding it piece by piece: no f32 copy of it is ever made.
/// The same bits at any number of threads. Throws DataError when a value is not finite.
FourBitMatrix quantize_four_bit(const kernels::MatrixRef& source, const FourBitOptions& options);

}  // namespace inlay
