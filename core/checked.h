// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "core/error.h"
#include "core/types.h"

namespace inlay {

/// A count, shape product, size or offset that comes from a file. Arithmetic that would leave
/// [0, 2^63) throws DataError naming `what`, so no reader can be led into a small allocation or a
/// wrapped offset. All sizes read from files pass through this one type; plain integers come out of
/// it with `value()`.
class CheckedSize {
 public:
  /// Throws DataError when `value` is negative or above 2^63 - 1.
  template <class Integer>
  CheckedSize(Integer value, std::string_view what) : what_(what) {
    if (__builtin_add_overflow(value, Integer{0}, &value_) || value_ < 0) {
      fail("is out of range");
    }
  }

  i64 value() const { return value_; }
  u64 unsigned_value() const { return static_cast<u64>(value_); }
  std::string_view what() const { return what_; }

  template <class Integer>
  CheckedSize operator+(Integer other) const {
    return combined(CheckedSize(other, what_),
                    [](i64 a, i64 b, i64* out) { return __builtin_add_overflow(a, b, out); });
  }
  template <class Integer>
  CheckedSize operator*(Integer other) const {
    return combined(CheckedSize(other, what_),
                    [](i64 a, i64 b, i64* out) { return __builtin_mul_overflow(a, b, out); });
  }
  CheckedSize operator+(const CheckedSize& other) const { return *this + other.value_; }
  CheckedSize operator*(const CheckedSize& other) const { return *this * other.value_; }

  /// Rounded up to a multiple of `unit` (> 0).
  CheckedSize rounded_up(i64 unit) const {
    const CheckedSize padded = *this + (unit - 1);
    return CheckedSize(padded.value_ / unit * unit, what_);
  }
  /// Throws DataError unless value() <= limit; `of` says what the limit is.
  const CheckedSize& at_most(u64 limit, std::string_view of) const {
    if (unsigned_value() > limit) {
      throw DataError(str(what_, ": ", value_, " is more than ", of, " (", limit, ")"));
    }
    return *this;
  }

 private:
  template <class Operation>
  CheckedSize combined(const CheckedSize& other, Operation operation) const {
    i64 out = 0;
    if (operation(value_, other.value_, &out)) {
      fail("overflows");
    }
    return CheckedSize(out, what_);
  }
  [[noreturn]] void fail(std::string_view how) const { throw DataError(str(what_, " ", how)); }

  i64 value_ = 0;
  std::string_view what_;
};

}  // namespace inlay
