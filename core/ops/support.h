// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/autograd/graph.h"
#include "core/tensor/tensor.h"

namespace inlay {

/// A tensor to write a result of x's shape to: over x itself when `x` is the only handle on its
/// storage, else new memory.
inline Tensor reuse_or_allocate(const Tensor& x) {
  return x.is_unique() && x.is_contiguous() ? x.detach() : Tensor::empty(x.shape(), x.dtype());
}

/// What an operation made on the way and does not return, as it is to be saved: rounded to bf16 for
/// Keep::kRounded (not where nothing is recorded, and so nothing is saved). The reader turns it
/// back with `.to`.
inline Tensor as_kept(const Tensor& inner, Keep keep) {
  return keep == Keep::kRounded && grad_enabled() ? inner.to(DType::kBf16) : inner;
}

/// x if it is contiguous, else a recorded contiguous copy.
Tensor contiguous(const Tensor& x);

}  // namespace inlay
