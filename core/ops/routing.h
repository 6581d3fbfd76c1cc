// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/autograd/graph.h"
#include "core/tensor/tensor.h"

namespace inlay {

struct RoutingOptions {
  i64 chosen = 1;          // k: experts a row
  bool normalised = true;  // the weights of the chosen sum to one
};

/// Which experts each of N rows goes to, how much the result of each counts, and the N k pairs of a
/// row and an expert in the order of the experts (core/kernels/experts.h has the notation).
struct Routing {
  i64 experts = 0, chosen = 0;
  Tensor weights;              // [N, k] f32, recorded
  Tensor choices;              // [N, k] i32
  Tensor offsets;              // [E + 1] i32
  Tensor source, pair, place;  // [N k] i32

  i64 rows() const { return weights.dim(0); }
  i64 pairs() const { return rows() * chosen; }
};

/// The k largest of the logits [N, E] of each row, and as their weights the softmax over them alone
/// (`normalised`; also what renormalising a softmax over all comes to), or the softmax over all at
/// their places; then times `scale` [E] at their places, unless it is undefined.
/// Saved: the weights and, where they are not normalised, the softmax. The choice has no gradient.
Routing route(const Tensor& logits, const RoutingOptions& options, const Tensor& scale = {});

}  // namespace inlay
