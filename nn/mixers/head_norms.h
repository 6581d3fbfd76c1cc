// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "core/ops/norm_rope.h"
#include "nn/module.h"
#include "nn/pass.h"
#include "nn/weights.h"

namespace inlay {

/// The norms of a layer's queries and keys. They come before RoPE unless said.
struct HeadNormPlan {
  enum Kind : u8 {
    kRms,    // x / rms(x) * weight
    kLayer,  // (x - mean) / std(x) * weight, no bias
  };
  enum Weights : u8 {
    kShared,  // one [head_dim] for all heads: <name>.weight
    kOwn,     // one a head: <name>.norms.<head>.weight
    kWhole,   // the heads are normed as one, of [heads * head_dim]: <name>.weight
    kNone,    // no weight at all
  };
  Kind kind = kRms;
  Weights weights = kShared;
  bool plus_one = false;  // the factor is 1 + weight
  bool after_rope = false;
  double eps = 1e-6;
  std::string q = "q_norm", k = "k_norm";  // their names in the layer
};

/// One of them.
class HeadNorms final : public Module {
 public:
  /// `name`: the whole path, by which the weights are asked for.
  HeadNorms(const HeadNormPlan& plan, const std::string& name, i64 heads, i64 head_dim,
            WeightSource& weights);

  /// Of x [N, heads * head_dim], turned where `turn` is there; see norm_heads.
  Tensor forward(Tensor x, const std::optional<HeadTurn>& turn, const Pass& pass) const;
  void visit(Visitor& visitor, const std::string& name) override;

 private:
  Tensor factor() const;

  HeadNormPlan plan_;
  HeadNorm norm_;
  std::vector<Tensor> weights_;  // several where each head has its own
  Tensor ones_;                  // in place of no weight, or to be added to it
};

}  // namespace inlay
