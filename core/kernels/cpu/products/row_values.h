// SPDX-License-Identifier: Apache-2.0
#pragma once

// Where a register tile finds the values it broadcasts: at(r, s) is the value of row r, s steps on,
// for s < kSteps; then advance() by that many. Distances known to the compiler become parts of the
// instructions, which processors that share a core with others have no time to spare for.
//
// What only asks for memory must be inlined: GCC 12 takes a call of such a function for one without
// effects, and drops it.

#include "core/kernels/cpu/isa/simd.h"

namespace inlay::kernels::INLAY_ISA {
namespace {

/// The values of R rows of a matrix, both of its strides known at run time only, in few registers:
/// rows 0 to 3 from one base, the others from a second. (Given eight addresses, GCC 12 keeps some
/// of them in vector registers.)
template <i64 R>
class RowValues {
 public:
  static_assert(R <= 8);
  static constexpr i64 kSteps = 1;

  RowValues(const float* data, i64 row_stride, i64 col_stride)
      : low_(data),
        high_(data + (R > 4 ? 4 * row_stride : 0)),
        stride_(row_stride),
        thrice_(3 * row_stride),
        next_(col_stride) {
    __asm__("" : "+r"(high_), "+r"(thrice_));
  }

  float at(i64 r, i64 /*s*/ = 0) const {
    const float* base = r < 4 ? low_ : high_;
    return base[r % 4 == 3 ? thrice_ : r % 4 * stride_];
  }

  void advance() {
    low_ += next_;
    high_ += next_;
  }

  /// Asks for four rows that start `ahead` floats further.
  [[gnu::always_inline]] void fetch(i64 ahead) const {
#pragma GCC unroll 4
    for (i64 r = 0; r < 4; ++r) {
      __builtin_prefetch(low_ + ahead + (r == 3 ? thrice_ : r * stride_), 0, 2);
    }
  }

 private:
  const float *low_, *high_;
  i64 stride_, thrice_, next_;
};

/// Multiples 0 to 3 of a distance, in bytes. The compiler keeps those that instructions cannot
/// make.
class Distances {
 public:
  explicit Distances(i64 floats)
      : once_(floats * static_cast<i64>(sizeof(float))), twice_(2 * once_), thrice_(3 * once_) {
    __asm__("" : "+r"(once_), "+r"(twice_), "+r"(thrice_));
  }

  i64 of(i64 n) const { return n == 0 ? 0 : n == 1 ? once_ : n == 2 ? twice_ : thrice_; }

 private:
  i64 once_, twice_, thrice_;
};

/// The same where the steps of a row lie side by side. Three rows to a base, where two bases are
/// enough: a row's distance is then once or twice the stride.
template <i64 R>
class RowsAlong {
 public:
  static_assert(R <= 8);
  static constexpr i64 kSteps = 4;

  RowsAlong(const float* data, i64 row_stride)
      : low_(reinterpret_cast<const char*>(data)),
        high_(reinterpret_cast<const char*>(data + (R > kBase ? kBase * row_stride : 0))),
        rows_(row_stride) {
    __asm__("" : "+r"(high_));
  }

  float at(i64 r, i64 s) const {
    const char* base = r < kBase ? low_ : high_;
    return reinterpret_cast<const float*>(base + rows_.of(r % kBase))[s];
  }

  void advance() {
    low_ += kSteps * sizeof(float);
    high_ += kSteps * sizeof(float);
  }

 private:
  static constexpr i64 kBase = R == 5 || R == 6 ? 3 : 4;

  const char *low_, *high_;
  Distances rows_;
};

/// The same where the rows of a step lie side by side, and the steps `stride` floats apart.
template <i64 R>
class RowsAcross {
 public:
  static constexpr i64 kSteps = 4;

  RowsAcross(const float* data, i64 stride)
      : data_(reinterpret_cast<const char*>(data)), steps_(stride) {}

  float at(i64 r, i64 s) const { return reinterpret_cast<const float*>(data_ + steps_.of(s))[r]; }

  void advance() { data_ += steps_.of(1) + steps_.of(3); }

 private:
  const char* data_;
  Distances steps_;
};

}  // namespace
}  // namespace inlay::kernels::INLAY_ISA
