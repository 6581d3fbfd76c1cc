// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>

#include "core/ops/norm.h"
#include "nn/module.h"

namespace inlay {

/// Root-mean-square norm with one weight a feature; see core/ops/norm.h.
class RmsNorm final : public Module {
 public:
  RmsNorm(Tensor weight, float eps) : weight_(std::move(weight)), eps_(eps) {}
  Tensor forward(const Tensor& x) const { return rms_norm(x, weight_, eps_); }
  void visit(Visitor& visitor, const std::string& name) override {
    visitor.parameter(dotted(name, "weight"), weight_);
  }

 private:
  Tensor weight_;
  float eps_;
};

/// Layer norm with weight and bias.
class LayerNorm final : public Module {
 public:
  LayerNorm(Tensor weight, Tensor bias, float eps)
      : weight_(std::move(weight)), bias_(std::move(bias)), eps_(eps) {}
  Tensor forward(const Tensor& x) const { return layer_norm(x, weight_, bias_, eps_); }
  void visit(Visitor& visitor, const std::string& name) override {
    visitor.parameter(dotted(name, "weight"), weight_);
    visitor.parameter(dotted(name, "bias"), bias_);
  }

 private:
  Tensor weight_;
  Tensor bias_;
  float eps_;
};

}  // namespace inlay
