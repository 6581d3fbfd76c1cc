// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "core/kernels/matrix.h"
#include "core/tensor/frozen_matrix.h"
#include "core/types.h"

/// Every way to store a weight in fewer bits: bitsandbytes' 4-bit types, and the block formats of
/// core/kernels/matrix_format.h, where a new one gets its row. The round-trip test walks them all.
namespace inlay {

struct QuantFormat {
  std::string name;  // "nf4", "q8_0"; with "-dq" where the scales are quantised too
  kernels::MatrixFormat storage = kernels::MatrixFormat::kFourBit;
  i64 block_values = 0;  // what repeats: so many values
  i64 block_bytes = 0;   // in so many bytes, scales included
  /// Null for formats that can only be read. The source is decoded piece by piece; DataError for
  /// values or widths the format cannot hold.
  std::function<FrozenMatrix(const kernels::MatrixRef& source)> encode = nullptr;

  /// FrozenMatrix::decode, and every product, reads it back.
  double bits_per_weight() const {
    return 8.0 * static_cast<double>(block_bytes) / static_cast<double>(block_values);
  }
};

std::span<const QuantFormat> quant_formats();
/// Null when there is none of that name.
const QuantFormat* find_quant_format(std::string_view name);

/// How a GGUF tensor of this type is read as a matrix, or nothing if it cannot be.
std::optional<kernels::MatrixFormat> matrix_format_of_gguf(u32 type);
/// ggml's number of a storage format; nothing for the 4-bit formats, which GGUF has not.
std::optional<u32> gguf_type_of(kernels::MatrixFormat format);

}  // namespace inlay
