// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/ops/norm.h"
#include "nn/module.h"
#include "nn/pass.h"
#include "nn/weights.h"

namespace inlay {

enum class NormKind : u8 {
  kRms,    // x / rms(x) * weight
  kLayer,  // (x - mean(x)) / std(x) * weight + bias
};

/// What all norms of a model have in common.
struct NormPlan {
  NormKind kind = NormKind::kRms;
  double eps = 1e-6;
  bool plus_one = false;  // the factor is 1 + weight, and the stored weight starts at 0
  bool weight = true;     // false, of an RMS norm: it has none, and nothing is stored
  bool bias = true;       // of a layer norm
};

/// A norm with one weight a feature, and a bias for a layer norm, where the plan says so; see
/// core/ops/norm.h.
class Norm final : public Module {
 public:
  /// `name`: the whole path, by which the weights are asked for.
  Norm(const NormPlan& plan, const std::string& name, i64 size, WeightSource& weights);

  Tensor forward(const Tensor& x, const Pass& pass) const;
  /// residual + forward(x), for an x that is nothing but what the norm is of.
  Tensor forward_onto(const Tensor& residual, const Tensor& x, const Pass& pass) const;
  void visit(Visitor& visitor, const std::string& name) override;

 private:
  NormOptions options(const Pass& pass) const;

  NormPlan plan_;
  Tensor weight_, bias_;  // undefined where there is none
};

}  // namespace inlay
