// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/kernels/cpu/isa/isa.h"
#include "core/kernels/matrix.h"

// The seam between matrix.cc and matrix.isa.cc, and what gemm_int8.cc shares with them.
namespace inlay::kernels {

struct MatrixDecoders {
  /// By format: out[i] = value col + i of the row that starts at `row`. Null for kFourBit.
  void (*row[kMatrixFormats])(const u8* row, i64 col, i64 count, float* out);
  /// out[i] = value first + i of the flattened matrix.
  void (*four_bit)(const u8* nibbles, const FourBitScales& scales, i64 first, i64 count,
                   float* out);
};

namespace {

/// The scale of a block of a 4-bit matrix.
[[maybe_unused]] inline float four_bit_scale(const FourBitScales& scales, i64 block) {
  if (scales.absmax != nullptr) {
    return scales.absmax[block];
  }
  return scales.nested_code[scales.absmax_codes[block]] *
             scales.nested_absmax[block / scales.nested_block_size] +
         scales.offset;
}

}  // namespace

INLAY_DECLARE_TABLES(MatrixDecoders, kMatrixDecoders)

}  // namespace inlay::kernels
