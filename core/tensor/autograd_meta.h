// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>

#include "core/tensor/tensor.h"

namespace inlay {

struct Node;
struct Recipe;

/// What autograd keeps with a tensor. Filled by core/autograd; it lies here because a Tensor owns
/// it.
struct AutogradMeta {
  bool requires_grad = false;
  Tensor grad;                     // leaves: accumulated by backward()
  std::shared_ptr<Node> node;      // the operation that made this tensor; null for a leaf
  int output = 0;                  // which of the node's outputs this is
  bool is_first_gradient = false;  // the 1 that a backward pass began with
  std::shared_ptr<Recipe>
      recipe;  // how to make the values again from cheaper ones, if that is known
};

}  // namespace inlay
