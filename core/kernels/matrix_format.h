// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "core/types.h"

/// The storages of a matrix, one row each: what a format is called, how large its blocks are, and
/// what else can be said of it without a loop. Whoever sizes, names, checks or writes a stored
/// matrix reads this table. The loops stand by format where they run:
///
///   matrix.isa.cc            decodes a group of values; every format needs it
///   gemm_stored_formats.h    decodes in registers, for products with few rows; without it such
///                            products decode into panels, like all others
///   quant/gguf_blocks.cc     encodes a block; without it the format can only be read
namespace inlay::kernels {

enum class MatrixFormat : u8 {
  kF32,
  kF16,
  kBf16,
  kFourBit,  // bitsandbytes NF4 / FP4: a 16-entry code, a scale a block, blocks over the flattened
             // matrix
  kQ8_0,     // GGUF blocks, along a row; a row is a whole number of blocks
  kQ4_0,
  kQ4_1,
  kQ5_0,
  kQ5_1,
  kQ4_K,
  kQ5_K,
  kQ6_K,
  kMxfp4,
};

/// Values and bytes of a block: {1, 4} for kF32, {32, 20} for kQ4_1; {2, 1} for kFourBit (nibbles
/// only).
struct BlockSize {
  i64 values;
  i64 bytes;
};

// NOLINTNEXTLINE(clang-analyzer-optin.performance.Padding): a dozen rows, in reading order
struct MatrixFormatRow {
  MatrixFormat format;
  std::string_view name;  // as GGUF spells it
  BlockSize block;
  /// ggml's number of the type; -1 where GGUF has no such type.
  i32 gguf_type = -1;
  /// Where in a block its halves (f16) lie: a scale, and in some formats a minimum. -1: none.
  i32 halves[2] = {-1, -1};

  constexpr bool in_gguf() const { return gguf_type >= 0; }
};

/// In the order of the enumerators.
inline constexpr MatrixFormatRow kMatrixFormatRows[] = {
    {MatrixFormat::kF32, "F32", {1, 4}, 0},
    {MatrixFormat::kF16, "F16", {1, 2}, 1},
    {MatrixFormat::kBf16, "BF16", {1, 2}, 30},
    {MatrixFormat::kFourBit, "4-bit", {2, 1}},
    {MatrixFormat::kQ8_0, "Q8_0", {32, 34}, 8, {0, -1}},
    {MatrixFormat::kQ4_0, "Q4_0", {32, 18}, 2, {0, -1}},
    {MatrixFormat::kQ4_1, "Q4_1", {32, 20}, 3, {0, 2}},
    {MatrixFormat::kQ5_0, "Q5_0", {32, 22}, 6, {0, -1}},
    {MatrixFormat::kQ5_1, "Q5_1", {32, 24}, 7, {0, 2}},
    {MatrixFormat::kQ4_K, "Q4_K", {256, 144}, 12, {0, 2}},
    {MatrixFormat::kQ5_K, "Q5_K", {256, 176}, 13, {0, 2}},
    {MatrixFormat::kQ6_K, "Q6_K", {256, 210}, 14, {208, -1}},
    {MatrixFormat::kMxfp4, "MXFP4", {32, 17}, 39},
};
inline constexpr int kMatrixFormats = sizeof(kMatrixFormatRows) / sizeof(MatrixFormatRow);

constexpr const MatrixFormatRow& format_row(MatrixFormat format) {
  return kMatrixFormatRows[static_cast<int>(format)];
}
constexpr BlockSize block_size(MatrixFormat format) {
  return format_row(format).block;
}
constexpr std::string_view format_name(MatrixFormat format) {
  return format_row(format).name;
}

namespace detail {
constexpr bool rows_stand_in_order() {
  for (int i = 0; i < kMatrixFormats; ++i) {
    if (static_cast<int>(kMatrixFormatRows[i].format) != i) {
      return false;
    }
  }
  return true;
}
}  // namespace detail
static_assert(detail::rows_stand_in_order());

}  // namespace inlay::kernels
