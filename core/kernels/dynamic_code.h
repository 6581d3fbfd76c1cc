// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/types.h"

/// The dynamic 8-bit codes of bitsandbytes: 256 values between -1 (or 0) and 1, dense near zero,
/// with seven powers of ten of range. The signed one holds double-quantised scales and the first
/// moment of 8-bit Adam, the unsigned one the second moment. Dettmers et al. 2021,
/// arXiv:2110.02861, section 2; bit for bit as PyTorch 2.11 on x86 and CUDA makes them.
namespace inlay::kernels {

/// Ascending from -0.99296874 to 1; index 127 is 0.
std::span<const float, 256> dynamic_code_signed();
/// Ascending from 0 to 1.
std::span<const float, 256> dynamic_code_unsigned();

/// Index of the value nearest to z: the number of midpoints (f32) between neighbours that z
/// exceeds, so a tie goes to the lower index, as does a NaN to index 0.
u8 nearest_code(std::span<const float, 256> code, float z);

enum class DynamicMap : u8 { kSigned, kUnsigned };

/// Encodes a block of values: codes[i] = nearest_code(map, x[i] * (1 / absmax)), and returns
/// absmax = max |x|. A block whose absmax is below 1e-38 gets the codes of numbers near 0.
float encode_dynamic(DynamicMap map, std::span<const float> x, std::span<u8> codes);
/// x[i] = map[codes[i]] * absmax
void decode_dynamic(DynamicMap map, float absmax, std::span<const u8> codes, std::span<float> x);

}  // namespace inlay::kernels
