// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>

#include "core/kernels/matrix.h"
#include "core/tensor/frozen_matrix.h"
#include "core/types.h"

/// Encoders of ggml's 32-value block formats, bit for bit as ggml's reference quantisers. A block
/// is a row's next 32 values; its fields are little-endian, d and m halves:
///
///   Q8_0  d, 32 signed bytes     x' = q d          d = max|x| / 127, q rounded half away from 0
///   Q4_0  d, 16 bytes            x' = (q - 8) d    d = M / -8, M the value of largest magnitude
///   Q4_1  d, m, 16 bytes         x' = q d + m      d = (max - min) / 15, m = min
///   Q5_0  d, 4 bytes, 16 bytes   x' = (q - 16) d   d = M / -16; bit k of the 4 is q's fifth
///   Q5_1  d, m, 4, 16 bytes      x' = q d + m      d = (max - min) / 31, m = min
///
/// Byte j of the 16 holds value j in its low nibble and value j + 16 in its high one. Codes are
/// chosen with d in f32; only then is it rounded to a half.
namespace inlay {

inline constexpr i64 kGgufBlockValues = 32;

/// Whether there is an encoder of it: of those above.
bool can_encode_gguf(kernels::MatrixFormat format);

/// One block; `out` gets block_size(format).bytes. Values must be finite. INLAY_ASSERTs that the
/// format can be encoded.
void encode_gguf_block(kernels::MatrixFormat format, std::span<const float> x, std::span<u8> out);

/// A whole matrix, decoded and encoded row by row: no f32 copy of it is made. Throws DataError when
/// a row is not a whole number of blocks, a value is not finite, or a scale is too large for a
/// half; INLAY_ASSERTs that the format can be encoded.
FrozenMatrix encode_gguf(const kernels::MatrixRef& source, kernels::MatrixFormat format);

}  // namespace inlay
