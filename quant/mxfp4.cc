// SPDX-License-Identifier: Apache-2.0
#include "quant/mxfp4.h"

#include <cmath>
#include <utility>
#include <vector>

namespace inlay {
namespace {

// A sign, two bits of exponent and one of mantissa, in the order of their bits.
constexpr float kE2m1[16] = {0.0F,  0.5F,  1.0F,  1.5F,  2.0F,  3.0F,  4.0F,  6.0F,
                             -0.0F, -0.5F, -1.0F, -1.5F, -2.0F, -3.0F, -4.0F, -6.0F};

// Made for every matrix, as tensors belong to a backend: a kilobyte beside megabytes.
Tensor powers_of_two() {
  std::vector<float> powers(256);
  for (int s = 0; s < 256; ++s) {
    powers[s] = std::ldexp(1.0F, s - 127);
  }
  return Tensor::from(powers, {256});
}

}  // namespace

FrozenMatrix mxfp4_matrix(const Tensor& blocks, const Tensor& scales, i64 rows, i64 cols) {
  const MemoryScope scope(MemoryClass::kWeights);
  MatrixParts parts;
  parts.format = kernels::MatrixFormat::kFourBit;
  parts.rows = rows;
  parts.cols = cols;
  parts.data = blocks;
  parts.code = Tensor::from(kE2m1, {16});
  parts.block_size = kMxfp4Block;
  // The two levels of double quantisation: codes of scales, and one factor, 1, for all of them.
  parts.absmax_codes = scales;
  parts.nested_code = powers_of_two();
  parts.nested_absmax = Tensor::full({1}, 1.0F);
  parts.nested_block_size = rows * cols / kMxfp4Block + 1;
  parts.low_first = true;
  return FrozenMatrix(std::move(parts));
}

}  // namespace inlay
