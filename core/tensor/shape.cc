// SPDX-License-Identifier: Apache-2.0
#include "core/tensor/shape.h"

#include <algorithm>

#include "core/error.h"

namespace inlay {

Shape::Shape(std::span<const i64> dims) : rank_(static_cast<int>(dims.size())) {
  if (dims.size() > kMaxRank) {
    throw ShapeError(str("a tensor has at most ", kMaxRank, " axes, not ", dims.size()));
  }
  std::copy(dims.begin(), dims.end(), dims_.begin());
  if (std::any_of(dims.begin(), dims.end(), [](i64 d) { return d < 0; })) {
    throw ShapeError(str("negative size in shape ", to_string()));
  }
}

i64 Shape::numel() const {
  i64 count = 1;
  for (const i64 d : dims()) {
    if (__builtin_mul_overflow(count, d, &count)) {
      throw ShapeError(str("shape ", to_string(), " has too many elements"));
    }
  }
  return count;
}

Shape Shape::with(int axis, i64 size) const {
  Shape out = *this;
  out.dims_[checked_axis(axis)] = size;
  return out;
}

int Shape::checked_axis(int axis) const {
  const int index = axis < 0 ? axis + rank_ : axis;
  if (index < 0 || index >= rank_) {
    throw ShapeError(str("axis ", axis, " of shape ", to_string(), ", which has ", rank_, " axes"));
  }
  return index;
}

bool Shape::operator==(const Shape& other) const {
  return std::ranges::equal(dims(), other.dims());
}

std::string Shape::to_string() const {
  std::string out = "[";
  for (int i = 0; i < rank_; ++i) {
    out += (i == 0 ? "" : ", ") + std::to_string(dims_[i]);
  }
  return out + "]";
}

}  // namespace inlay
