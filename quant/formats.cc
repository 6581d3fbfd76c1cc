// SPDX-License-Identifier: Apache-2.0
#include "quant/formats.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "quant/four_bit.h"
#include "quant/gguf_blocks.h"

namespace inlay {
namespace {

using kernels::MatrixFormat;
using kernels::MatrixRef;

template <FourBitType kType, bool kDoubleQuant>
FrozenMatrix encode_four_bit(const MatrixRef& source) {
  return quantize_four_bit(source, {.type = kType, .double_quant = kDoubleQuant}).frozen();
}

template <MatrixFormat kFormat>
FrozenMatrix encode_blocks(const MatrixRef& source) {
  return encode_gguf(source, kFormat);
}

// A block of 64 four-bit values has 32 bytes and a float; with double quantisation 256 such blocks
// share one float and have a byte each.
constexpr i64 kPlain = 64;
constexpr i64 kPlainBytes = 32 + 4;
constexpr i64 kDouble = 64 * kNestedBlockSize;
constexpr i64 kDoubleBytes = kNestedBlockSize * (32 + 1) + 4;

constexpr std::array<QuantFormat, 12> kFormats = {{
    {"nf4", MatrixFormat::kFourBit, kPlain, kPlainBytes, encode_four_bit<FourBitType::kNf4, false>},
    {"nf4-dq", MatrixFormat::kFourBit, kDouble, kDoubleBytes,
     encode_four_bit<FourBitType::kNf4, true>},
    {"fp4", MatrixFormat::kFourBit, kPlain, kPlainBytes, encode_four_bit<FourBitType::kFp4, false>},
    {"fp4-dq", MatrixFormat::kFourBit, kDouble, kDoubleBytes,
     encode_four_bit<FourBitType::kFp4, true>},
    {"q8_0", MatrixFormat::kQ8_0, 32, 34, encode_blocks<MatrixFormat::kQ8_0>},
    {"q4_0", MatrixFormat::kQ4_0, 32, 18, encode_blocks<MatrixFormat::kQ4_0>},
    {"q4_1", MatrixFormat::kQ4_1, 32, 20, encode_blocks<MatrixFormat::kQ4_1>},
    {"q5_0", MatrixFormat::kQ5_0, 32, 22, encode_blocks<MatrixFormat::kQ5_0>},
    {"q5_1", MatrixFormat::kQ5_1, 32, 24, encode_blocks<MatrixFormat::kQ5_1>},
    {"q4_k", MatrixFormat::kQ4_K, 256, 144, nullptr},
    {"q5_k", MatrixFormat::kQ5_K, 256, 176, nullptr},
    {"q6_k", MatrixFormat::kQ6_K, 256, 210, nullptr},
}};

struct GgufNumber {
  u32 type;
  MatrixFormat format;
};
constexpr GgufNumber kGgufNumbers[] = {
    {0, MatrixFormat::kF32},   {1, MatrixFormat::kF16},   {2, MatrixFormat::kQ4_0},
    {3, MatrixFormat::kQ4_1},  {6, MatrixFormat::kQ5_0},  {7, MatrixFormat::kQ5_1},
    {8, MatrixFormat::kQ8_0},  {12, MatrixFormat::kQ4_K}, {13, MatrixFormat::kQ5_K},
    {14, MatrixFormat::kQ6_K}, {30, MatrixFormat::kBf16},
};

}  // namespace

std::span<const QuantFormat> quant_formats() {
  return kFormats;
}

const QuantFormat* find_quant_format(std::string_view name) {
  const auto* found = std::find_if(kFormats.begin(), kFormats.end(),
                                   [&](const QuantFormat& format) { return format.name == name; });
  return found == kFormats.end() ? nullptr : found;
}

std::optional<MatrixFormat> matrix_format_of_gguf(u32 type) {
  for (const GgufNumber& row : kGgufNumbers) {
    if (row.type == type) {
      return row.format;
    }
  }
  return std::nullopt;
}

std::optional<u32> gguf_type_of(MatrixFormat format) {
  for (const GgufNumber& row : kGgufNumbers) {
    if (row.format == format) {
      return row.type;
    }
  }
  return std::nullopt;
}

}  // namespace inlay
