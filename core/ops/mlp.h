// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>

#include "core/kernels/activation.h"
#include "core/ops/projection.h"

/// A feed-forward block of frozen products and what adapters add to them, as one operation: its
/// values are the widest of a model, and gone through as seldom as may be.
namespace inlay {

struct MlpProjections {
  Projection first;              // [wide, in]: the gate, or the only one
  std::optional<Projection> up;  // [wide, in], of a gated block
  Projection down;               // [out, wide]
  kernels::Activation activation = kernels::Activation::kSilu;
  /// `first` is gate and up in one, [2 wide, in], the rows of the gate first; there is no `up`.
  bool fused = false;
};

/// How what an MLP saves is kept.
struct MlpKeep {
  Keep values = Keep::kExact;  // x, and what is read of down
  Keep wide = Keep::kExact;    // first(x) and up(x); kRecipe: made again from x
};

/// (residual +) down(h), h = act(first(x)) * up(x), or act(first(x)) alone.
///   x [..., in] and the wide values as in `project`, `wide` being the type of first(x), up(x), h
///   and of their gradients; the result and `residual` [..., out], if there is one, are f32.
/// The bits are those of `project`, activation.h and `project_onto` one after the other. Backward,
/// one pass makes three values of three, over them where they are no one else's:
///   dh = dy W_down + u A_down    dfirst = dh up(x) act'(first(x))    dup = dh act(first(x))
/// and h, for the adapter's dA, over dh. Saved, as `keep` says: x (or its recipe) where an
/// adapter's A reads it or the wide values are made again; first(x) and up(x), or the way to make
/// them; the t of adapters; only h where nothing before it is trained.
/// An input_scale of `down` becomes one of up's outputs, where up is a part. Any other is an operation of its own, and
/// so then are the parts, with f32 between them.
Tensor project_mlp(const Tensor& residual, const Tensor& x, const MlpProjections& parts,
                   GemmCompute compute, DType wide = DType::kF32, MlpKeep keep = {});

}  // namespace inlay
