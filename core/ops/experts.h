// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/kernels/experts.h"
#include "core/ops/linear.h"
#include "core/ops/mlp.h"
#include "core/ops/routing.h"

/// Feed-forward blocks of which each row goes through some (Shazeer et al. 2017, arXiv:1701.06538).
/// Rows are sorted by expert, and each projection of all experts is one grouped product over them.
namespace inlay {

/// The matrices [out, in], or [in, out], of one projection of E experts.
struct ExpertMatrices {
  i64 in = 0, out = 0;
  WeightLayout layout = WeightLayout::kOutIn;
  std::vector<FrozenMatrix> frozen = {};  // [E], in any storage; or, where they are trained,
  std::vector<Tensor> trained = {};       // [E] f32 matrices, or a single tensor [E, .., ..] of all
  Tensor bias = {};                       // [E, out] f32, or undefined

  bool trains() const;
  /// Makes frozen matrices of those that are trained.
  void freeze();
  /// The matrix of an expert.
  kernels::MatrixRef ref(i64 expert) const;
};

/// factor * B_e A_e for every expert, as PEFT keeps them for a parameter of all experts: row e r + i
/// of A [E r, in] is row i of A_e, and column i E + e of B [out, r E] is column i of B_e.
struct ExpertUpdate {
  Tensor a, b;
  float factor = 1.0F;
};

/// Projections of one input, whose results stand side by side.
struct ExpertProjection {
  std::vector<ExpertMatrices> parts;
  std::vector<ExpertUpdate> updates;  // of all parts together
  /// The rows of B are those of the parts in turn: of the first, of the second, of the first ...
  bool interleaved_updates = false;

  i64 in() const { return parts.at(0).in; }
  i64 out() const;
};

struct ExpertMlp {
  i64 experts = 0;
  ExpertProjection wide;  // gate and up, [.., 2 I]
  kernels::ExpertGate gate;
  ExpertProjection down;
};

/// residual + sum over the chosen experts e of weight_e * down_e(gated(wide_e(x))), for each row.
///   x, residual [N, C] f32; residual may be undefined   returns [N, C] f32
/// `compute` is what products of frozen matrices round their operands to. With r over the sorted
/// rows, each of an expert e, and w_r its weight:
///   z_r = h_r W2^T   y = residual + sum of w_r z_r
///   dh'_r = dy W2   dw_r = h_r . dh'_r   dh_r = w_r dh'_r   dW2_e = sum of w_r dy^T h_r
/// so that no z is kept. Saved, as `keep` says: x where a factor or matrix of `wide` is trained or
/// its results are made again; the results of `wide`; of the frozen matrices nothing.
Tensor expert_mlp(const Tensor& residual, const Tensor& x, const Routing& routing,
                  const ExpertMlp& experts, GemmCompute compute, MlpKeep keep);

}  // namespace inlay
