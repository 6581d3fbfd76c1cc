// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/tensor/tensor.h"

namespace inlay {

/// A tensor to write a result of x's shape to: over x itself when `x` is the only handle on its
/// storage, else new memory.
inline Tensor result_over(const Tensor& x) {
  return x.is_unique() && x.is_contiguous() ? x.detach() : Tensor::empty(x.shape(), x.dtype());
}

/// x if it is contiguous, else a recorded contiguous copy.
Tensor dense(const Tensor& x);

}  // namespace inlay
