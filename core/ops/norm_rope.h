// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "core/ops/rope.h"

namespace inlay {

/// A norm of queries or keys, whose rows are heads laid end to end.
struct HeadNorm {
  i64 group = 64;        // values normed together: a head's, or all of a row's
  bool centred = false;  // a layer norm, without bias; else by root mean square
  float eps = 1e-6F;
  bool after_rope = false;
};

/// How rows of heads of `head_dim` values are turned.
struct HeadTurn {
  i64 head_dim = 64;
  Indices positions;
  RopeTables tables;
};

/// rope(norm(x)), or norm(rope(x)), in one pass over memory; without `turn` the norm alone. In each
/// group of a row
///   y = (x - mean) rstd weight,   rstd = 1 / sqrt(var(x) + eps)
/// with a mean that is 0 unless `centred`.
///   x [N, W], rows contiguous or not; written over x when it is the only handle and x is not kept
///   weight [group], the same in all groups, or [W]   returns [N, W]
/// Saved for backward: what the norm read, as `keep` says, weight, and one or two floats a group; y
/// can be made again from them and is not kept for its readers. Throws ShapeError unless the shapes
/// are so.
Tensor norm_heads(Tensor x, const Tensor& weight, const HeadNorm& norm,
                  const std::optional<HeadTurn>& turn = {}, Keep keep = Keep::kExact);

}  // namespace inlay
