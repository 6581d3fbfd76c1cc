// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <functional>
#include <vector>

#include "core/ops/elementwise.h"
#include "core/random.h"
#include "tests/support/gradcheck.h"
#include "tests/support/isas.h"

/// What tests of operations share: values to run them on, and pieces of their twins in double.
namespace inlay::testing {

using Arrays = std::vector<Array>;
using Tensors = std::vector<Tensor>;

inline Tensor uniform(const Shape& shape, RandomKey key) {
  const Tensor t = Tensor::empty(shape);
  fill_uniform(t.mutable_values(), key, -1.0F, 1.0F);
  return t;
}

/// What `dropout` multiplies values of this shape with.
inline Tensor dropout_mask(const Shape& shape, float p, RandomKey key) {
  return dropout(Tensor::full(shape, 1.0F), p, key);
}

/// x * mask, value by value.
inline Array masked(Array x, const Tensor& mask) {
  for (i64 i = 0; i < x.shape.numel(); ++i) {
    x[i] *= double{mask.values()[i]};
  }
  return x;
}

/// y[r, o] = sum over i of x[r, i] w(o, i)
inline Array product(const Array& x, i64 out, const std::function<double(i64 o, i64 i)>& w) {
  const i64 in = x.shape[-1];
  Array y = zeros(x.shape.with(-1, out));
  for (i64 r = 0; r < x.rows(); ++r) {
    for (i64 o = 0; o < out; ++o) {
      for (i64 i = 0; i < in; ++i) {
        y[r * out + o] += x[r * in + i] * w(o, i);
      }
    }
  }
  return y;
}

/// x W^T of a tensor W [out, in].
inline Array product(const Array& x, const Tensor& w) {
  const i64 in = w.dim(1);
  return product(x, w.dim(0), [&](i64 o, i64 i) { return double{w.values()[o * in + i]}; });
}

/// x A^T B^T, with A [rank, in] at arrays[first] and B [out, rank] behind it.
inline Array low_rank(const Array& x, const Arrays& arrays, int first) {
  const Array& A = arrays[first];
  const Array& B = arrays[first + 1];
  const i64 rank = A.shape[0], in = A.shape[1];
  const Array inner = product(x, rank, [&](i64 r, i64 i) { return A[r * in + i]; });
  return product(inner, B.shape[0], [&](i64 o, i64 r) { return B[o * rank + r]; });
}

/// Sizes around the vectors' 8 and 16 lanes, 1, and primes.
inline const std::vector<Shape> kOpShapes = {{1, 1}, {3, 7}, {2, 8}, {5, 16}, {3, 17}, {2, 3, 33}};

/// Runs `body` for each shape with every instruction set this machine has.
inline void everywhere(const std::function<void(const Shape&)>& body) {
  for_each_isa([&] {
    for (const Shape& shape : kOpShapes) {
      body(shape);
    }
  });
}

}  // namespace inlay::testing
