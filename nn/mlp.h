// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "core/autograd/graph.h"
#include "core/ops/elementwise.h"
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

  Tensor forward_onto(const Tensor& residual, const Tensor& x, const Pass& pass) const {
    std::vector<Tensor> both = widened(x, pass);
    if (pass.recompute == Recompute::kSelective) {
      set_recipes(both, [this, pass, sx = save(x)] { return widened(sx.get(), pass); });
    }
    const Tensor product = gated(activation_, both[0], both[1]);
    both.clear();  // the widest of the block: gone before the next product unless kept
    return inlay::forward_onto(residual, *down_proj_, product, pass);
  }
  void visit(Visitor& visitor, const std::string& name) override {
    visitor.linear(dotted(name, "gate_proj"), gate_proj_);
    visitor.linear(dotted(name, "up_proj"), up_proj_);
    visitor.linear(dotted(name, "down_proj"), down_proj_);
  }

 private:
  std::vector<Tensor> widened(const Tensor& x, const Pass& pass) const {
    const bool narrow = takes_bf16({gate_proj_.get(), up_proj_.get(), down_proj_.get()}, pass);
    return forward_together({gate_proj_.get(), up_proj_.get()}, x, pass,
                            narrow ? DType::kBf16 : DType::kF32);
  }

  std::unique_ptr<LinearLike> gate_proj_, up_proj_, down_proj_;
  kernels::Activation activation_;
};

/// c_proj(act(c_fc(x))), as in GPT-2.
class PlainMlp final : public Module {
 public:
  PlainMlp(std::unique_ptr<LinearLike> c_fc, std::unique_ptr<LinearLike> c_proj,
           kernels::Activation kind)
      : c_fc_(std::move(c_fc)), c_proj_(std::move(c_proj)), activation_(kind) {}

  Tensor forward(const Tensor& x, const Pass& pass) const {
    Tensor wide = c_fc_->forward(x, pass);
    if (pass.recompute == Recompute::kSelective) {
      set_recipe(wide, [this, pass, sx = save(x)] { return c_fc_->forward(sx.get(), pass); });
    }
    const Tensor active = activation(activation_, wide);
    wide = Tensor();
    return c_proj_->forward(active, pass);
  }
  void visit(Visitor& visitor, const std::string& name) override {
    visitor.linear(dotted(name, "c_fc"), c_fc_);
    visitor.linear(dotted(name, "c_proj"), c_proj_);
  }

 private:
  std::unique_ptr<LinearLike> c_fc_, c_proj_;
  kernels::Activation activation_;
};

}  // namespace inlay
