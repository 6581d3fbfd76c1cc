// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/kernels/matrix.h"
#include "core/types.h"

/// How 4-bit weights are made (quant/four_bit.h tells what they are).
namespace inlay::kernels {

enum class FourBitType : u8 { kNf4, kFp4 };

/// The 16 levels by code.
std::span<const float, 16> four_bit_levels(FourBitType type);

/// Blocks of scales that share an 8-bit scale's range, when we quantise; files may have others.
inline constexpr i64 kNestedBlockSize = 256;

/// Quantises a matrix in any storage, decoding it piece by piece: no f32 copy of it is ever made.
///   codes [ceil(values / 2)]   absmax [ceil(values / block_size)]
/// The absmax of a block that holds a value that is not finite is not finite either; its codes are
/// then undefined. block_size is a power of two in [32, 4096].
void quantize_four_bit(const MatrixRef& source, FourBitType type, i64 block_size,
                       std::span<u8> codes, std::span<float> absmax);

/// The parts of it. Whole blocks, so `values` may be a piece of a matrix that begins where a block
/// does; `codes` gets (values.size() + 1) / 2 bytes, the spare nibble of an odd count is the code
/// of zero. An all-zero block gets absmax 0 and codes of zero. Returns false when a value is not
/// finite.
bool quantize_four_bit_blocks(std::span<const float> values, FourBitType type, i64 block_size,
                              std::span<u8> codes, std::span<float> absmax);

/// Double quantisation of the scales around `offset`: nested_absmax gets one value for each 256.
void quantize_absmax(std::span<const float> absmax, float offset, std::span<u8> codes,
                     std::span<float> nested_absmax);

}  // namespace inlay::kernels
