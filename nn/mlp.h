// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>

#include "core/kernels/activation.h"
#include "nn/linear.h"

namespace inlay {

/// residual + down(act(gate(x)) * up(x)), as in Llama.
class GatedMlp final : public Module {
 public:
  GatedMlp(std::unique_ptr<LinearLike> gate_proj, std::unique_ptr<LinearLike> up_proj,
           std::unique_ptr<LinearLike> down_proj, kernels::Activation activation)
      : gate_proj_(std::move(gate_proj)),
        up_proj_(std::move(up_proj)),
        down_proj_(std::move(down_proj)),
        activation_(activation) {}

  Tensor forward_onto(const Tensor& residual, const Tensor& x, const Pass& pass) const;
  void visit(Visitor& visitor, const std::string& name) override {
    visitor.linear(dotted(name, "gate_proj"), gate_proj_);
    visitor.linear(dotted(name, "up_proj"), up_proj_);
    visitor.linear(dotted(name, "down_proj"), down_proj_);
  }

 private:
  std::unique_ptr<LinearLike> gate_proj_, up_proj_, down_proj_;
  kernels::Activation activation_;
};

/// c_proj(act(c_fc(x))), as in GPT-2.
class PlainMlp final : public Module {
 public:
  PlainMlp(std::unique_ptr<LinearLike> c_fc, std::unique_ptr<LinearLike> c_proj,
           kernels::Activation kind)
      : c_fc_(std::move(c_fc)), c_proj_(std::move(c_proj)), activation_(kind) {}

  Tensor forward(const Tensor& x, const Pass& pass) const;
  void visit(Visitor& visitor, const std::string& name) override {
    visitor.linear(dotted(name, "c_fc"), c_fc_);
    visitor.linear(dotted(name, "c_proj"), c_proj_);
  }

 private:
  std::unique_ptr<LinearLike> c_fc_, c_proj_;
  kernels::Activation activation_;
};

}  // namespace inlay
