// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/io/safetensors.h"
#include "quant/four_bit.h"

/// 4-bit weights in safetensors as bitsandbytes serialises them. For a weight M.weight of n values:
///
///   M.weight                                U8 [ceil(n / 2), 1]
///   M.weight.absmax                         F32 [blocks], or U8 [blocks] with double quantisation
///   M.weight.quant_map                      F32 [16]
///   M.weight.nested_absmax                  F32 [ceil(blocks / nested_blocksize)]   } double
///   M.weight.nested_quant_map               F32 [256]                               } quantisation
///   M.weight.quant_state.bitsandbytes__nf4  U8, a JSON text (or …__fp4)
namespace inlay {

/// True when the file holds `weight` ("….q_proj.weight") in 4 bits.
bool is_four_bit(const SafetensorsModel& model, const std::string& weight);

/// Reads a weight for which is_four_bit. The tensors stay in the mapped file where their alignment
/// allows it. The levels are the stored ones: programs differ in their last bits. Throws DataError
/// naming the tensor for anything that does not fit together.
FourBitMatrix read_four_bit(const SafetensorsModel& model, const std::string& weight);

/// The tensors of a weight, for write_safetensors. They refer to `matrix`, which must outlive the
/// writing.
std::vector<TensorToWrite> four_bit_tensors(const std::string& weight, const FourBitMatrix& matrix);

}  // namespace inlay
