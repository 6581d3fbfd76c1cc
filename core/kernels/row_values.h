// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a register tile finds the values it broadcasts.

#include "core/kernels/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

/// Column by column, the values of R rows of a matrix, in few registers: rows 0 to 3 from one base,
/// the others from a second. (Given eight addresses, GCC 12 keeps some of them in vector
/// registers.)
template <i64 R>
class RowValues {
 public:
  static_assert(R <= 8);

  RowValues(const float* data, i64 row_stride, i64 col_stride)
      : low_(data),
        high_(data + (R > 4 ? 4 * row_stride : 0)),
        stride_(row_stride),
        thrice_(3 * row_stride),
        next_(col_stride) {
    __asm__("" : "+r"(high_), "+r"(thrice_));
  }

  float at(i64 r) const {
    const float* base = r < 4 ? low_ : high_;
    return base[r % 4 == 3 ? thrice_ : r % 4 * stride_];
  }

  void advance() {
    low_ += next_;
    high_ += next_;
  }

  /// Asks for four rows that start `ahead` floats further.
  void fetch(i64 ahead) const {
#pragma GCC unroll 4
    for (i64 r = 0; r < 4; ++r) {
      __builtin_prefetch(low_ + ahead + (r == 3 ? thrice_ : r * stride_), 0, 2);
    }
  }

 private:
  const float *low_, *high_;
  i64 stride_, thrice_, next_;
};

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
