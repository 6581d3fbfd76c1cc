// SPDX-License-Identifier: Apache-2.0
#include "quant/four_bit.h"

#include <bit>
#include <cmath>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/kernels/dynamic_code.h"
#include "core/memory/memory.h"
#include "core/tensor/dense_format.h"

namespace inlay {
namespace {

void check_options(const FourBitOptions& options) {
  INLAY_ASSERT(std::has_single_bit(static_cast<u64>(options.block_size)) &&
               options.block_size >= 32 && options.block_size <= 4096);
}

/// Throws for the first value that is not finite; there is one.
[[noreturn]] void throw_not_finite(const kernels::MatrixRef& source) {
  for (i64 row = 0;; ++row) {
    const Tensor decoded = Tensor::empty({source.cols});
    on(decoded).decode_rows(source, row, row + 1, decoded.out());
    const std::vector<float> values = decoded.to_vector();
    for (std::size_t col = 0; col < values.size(); ++col) {
      if (!std::isfinite(values[col])) {
        throw DataError(str("the value in row ", row, ", column ", col, " is ", values[col],
                            ": only finite weights can be quantised"));
      }
    }
  }
}

void double_quantize(FourBitMatrix& matrix) {
  const Tensor absmax = matrix.absmax;
  const i64 groups = (absmax.numel() + kNestedBlockSize - 1) / kNestedBlockSize;
  matrix.absmax = Tensor::empty({absmax.numel()}, DType::kU8);
  matrix.nested_absmax = Tensor::empty({groups});
  matrix.nested_levels = Tensor::from(kernels::dynamic_code_signed(), {256});
  const Tensor mean = Tensor::empty({1});
  on(mean).mean(absmax.in(), mean.out());
  matrix.offset = mean.item();
  on(absmax).quantize_absmax(absmax.in(), matrix.offset, matrix.absmax.span<u8>(),
                             matrix.nested_absmax.out());
}

}  // namespace

std::span<const Choice<FourBitType>> ChoicesOf<FourBitType>::all() {
  static constexpr Choice<FourBitType> kTable[] = {{"nf4", FourBitType::kNf4},
                                                   {"fp4", FourBitType::kFp4}};
  return kTable;
}

FrozenMatrix FourBitMatrix::frozen() const {
  MatrixParts parts;
  parts.format = kernels::MatrixFormat::kFourBit;
  parts.rows = rows;
  parts.cols = cols;
  parts.data = codes;
  parts.code = levels;
  parts.block_size = block_size;
  if (double_quant()) {
    parts.absmax_codes = absmax;
    parts.nested_absmax = nested_absmax;
    parts.nested_code = nested_levels;
    parts.nested_block_size = nested_block_size;
    parts.offset = offset;
  } else {
    parts.absmax = absmax;
  }
  return FrozenMatrix(std::move(parts));
}

FourBitMatrix quantize_four_bit(const kernels::MatrixRef& source, const FourBitOptions& options) {
  check_options(options);
  const MemoryScope scope(MemoryClass::kWeights);
  FourBitMatrix matrix;
  matrix.type = options.type;
  matrix.rows = source.rows;
  matrix.cols = source.cols;
  matrix.block_size = options.block_size;
  matrix.dtype = dense_dtype(source.format).value_or(DType::kF32);  // blocks decode to f32
  matrix.codes = Tensor::empty({(matrix.rows * matrix.cols + 1) / 2}, DType::kU8);
  matrix.levels = Tensor::from(four_bit_levels(options.type), {16});
  matrix.absmax = Tensor::empty({matrix.blocks()});
  on(matrix.codes)
      .quantize_four_bit(source, options.type, options.block_size, matrix.codes.span<u8>(),
                         matrix.absmax.out());
  if (count_not_finite(matrix.absmax) > 0) {
    throw_not_finite(source);
  }
  if (options.double_quant) {
    double_quantize(matrix);
  }
  return matrix;
}

}  // namespace inlay
