// SPDX-License-Identifier: Apache-2.0
#include "quant/formats.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/error.h"
#include "quant/four_bit.h"
#include "quant/gguf_blocks.h"

namespace inlay {
namespace {

using kernels::MatrixFormat;
using kernels::MatrixRef;

/// bitsandbytes' two types. A block of 64 four-bit values has 32 bytes and a float; with double
/// quantisation 256 such blocks share one float and have a byte each.
void add_four_bit(std::vector<QuantFormat>& formats) {
  for (const Choice<FourBitType>& type : ChoicesOf<FourBitType>::all()) {
    for (const bool double_quant : {false, true}) {
      formats.push_back({.name = str(type.name, double_quant ? "-dq" : ""),
                         .storage = MatrixFormat::kFourBit,
                         .block_values = double_quant ? 64 * kNestedBlockSize : 64,
                         .block_bytes = double_quant ? kNestedBlockSize * (32 + 1) + 4 : 32 + 4,
                         .encode = [type = type.value, double_quant](const MatrixRef& source) {
                           return quantize_four_bit(source,
                                                    {.type = type, .double_quant = double_quant})
                               .frozen();
                         }});
    }
  }
}

/// Every block format of GGUF, by its name in small letters.
void add_gguf_blocks(std::vector<QuantFormat>& formats) {
  for (const kernels::MatrixFormatRow& row : kernels::kMatrixFormatRows) {
    if (!row.in_gguf() || row.block.values == 1) {
      continue;
    }
    QuantFormat format;
    format.storage = row.format;
    format.block_values = row.block.values;
    format.block_bytes = row.block.bytes;
    for (const char c : row.name) {
      format.name += static_cast<char>(c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
    }
    if (can_encode_gguf(row.format)) {
      format.encode = [to = row.format](const MatrixRef& source) {
        return encode_gguf(source, to);
      };
    }
    formats.push_back(std::move(format));
  }
}

const std::vector<QuantFormat>& all_formats() {
  static const std::vector<QuantFormat> formats = [] {
    std::vector<QuantFormat> all;
    add_four_bit(all);
    add_gguf_blocks(all);
    return all;
  }();
  return formats;
}

}  // namespace

std::span<const QuantFormat> quant_formats() {
  return all_formats();
}

const QuantFormat* find_quant_format(std::string_view name) {
  const auto found = std::ranges::find(all_formats(), name, &QuantFormat::name);
  return found == all_formats().end() ? nullptr : &*found;
}

std::optional<MatrixFormat> matrix_format_of_gguf(u32 type) {
  for (const kernels::MatrixFormatRow& row : kernels::kMatrixFormatRows) {
    if (row.in_gguf() && static_cast<u32>(row.gguf_type) == type) {
      return row.format;
    }
  }
  return std::nullopt;
}

std::optional<u32> gguf_type_of(MatrixFormat format) {
  const kernels::MatrixFormatRow& row = kernels::format_row(format);
  return row.in_gguf() ? std::optional(static_cast<u32>(row.gguf_type)) : std::nullopt;
}

}  // namespace inlay
