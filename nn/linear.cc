// SPDX-License-Identifier: Apache-2.0
#include "nn/linear.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/ops/elementwise.h"
#include "nn/expert_stack.h"

namespace inlay {

std::optional<Projection> LinearLike::projection(const Pass& /*pass*/) const {
  return std::nullopt;
}

std::vector<Tensor> forward_together(std::initializer_list<const LinearLike*> layers,
                                     const Tensor& x, const Pass& pass, DType result) {
  if (are_projections(layers, pass)) {
    std::vector<Projection> projections;
    for (const LinearLike* layer : layers) {
      projections.push_back(*layer->projection(pass));
    }
    return project(x, projections, pass.compute, result, pass.keep);
  }
  INLAY_ASSERT(result == DType::kF32);
  std::vector<Tensor> ys;
  for (const LinearLike* layer : layers) {
    ys.push_back(layer->forward(x, pass));
  }
  return ys;
}

bool takes_bf16(std::initializer_list<const LinearLike*> layers, const Pass& pass) {
  return current_kernels().has_bf16_operands(pass.compute) && are_projections(layers, pass);
}

bool are_projections(std::initializer_list<const LinearLike*> layers, const Pass& pass) {
  return std::ranges::all_of(
      layers, [&](const LinearLike* layer) { return layer->form(pass) != ProjectionForm::kNone; });
}

Tensor forward_onto(const Tensor& residual, const LinearLike& layer, const Tensor& x,
                    const Pass& pass) {
  if (const std::optional<Projection> projection = layer.projection(pass)) {
    return project_onto(residual, x, *projection, pass.compute, pass.keep);
  }
  return add(layer.forward(x, pass), residual);
}

void prepack_frozen(Module& module, GemmCompute compute) {
  struct Prepacker final : Visitor {
    explicit Prepacker(GemmCompute c) : compute(c) {}
    void linear(const std::string& /*name*/, std::unique_ptr<LinearLike>& slot) override {
      slot->prepack(compute);
    }
    void experts(const std::string& /*name*/, ExpertStack& stack) override {
      stack.prepack(compute);
    }
    GemmCompute compute;
  };
  Prepacker prepacker(compute);
  module.visit(prepacker, "");
}

Linear::Linear(Tensor weight, Tensor bias, WeightLayout layout)
    : weight_(std::move(weight)), bias_(std::move(bias)), layout_(layout) {}

Tensor Linear::forward(const Tensor& x, const Pass& pass) const {
  if (prepacked_.defined()) {
    return project(x, {{*projection(pass)}}, pass.compute, DType::kF32, pass.keep)[0];
  }
  return linear(x, weight_, bias_, layout_, pass.compute, pass.keep);
}

Tensor Linear::product(const Tensor& x, const Pass& pass) const {
  return linear(x, weight_, {}, layout_, pass.compute, pass.keep);
}

std::optional<Projection> Linear::projection(const Pass& pass) const {
  if (form(pass) == ProjectionForm::kNone) {
    return std::nullopt;
  }
  Projection projection;
  projection.weight = prepacked_.defined() ? prepacked_ : FrozenMatrix(weight_);
  projection.layout = layout_;
  projection.bias = bias_;
  return projection;
}

void Linear::prepack(GemmCompute compute) {
  if (!weight_.requires_grad()) {
    prepacked_ = FrozenMatrix(weight_);
    prepacked_.prepack(compute);
  }
}

Tensor Linear::weight_rows(i64 begin, i64 end) const {
  if (layout_ == WeightLayout::kOutIn) {
    return weight_.slice(0, begin, end).to(DType::kF32).contiguous();
  }
  return weight_.slice(1, begin, end).contiguous().to(DType::kF32).transpose(0, 1).contiguous();
}

void Linear::visit(Visitor& visitor, const std::string& name) {
  visitor.parameter(dotted(name, "weight"), weight_);
  visitor.parameter(dotted(name, "bias"), bias_);
}

FrozenLinear::FrozenLinear(FrozenMatrix weight, Tensor bias, WeightLayout checkpoint_layout)
    : weight_(std::move(weight)), bias_(std::move(bias)), checkpoint_layout_(checkpoint_layout) {}

Tensor FrozenLinear::forward(const Tensor& x, const Pass& pass) const {
  return linear(x, weight_, bias_, pass.compute);
}

Tensor FrozenLinear::product(const Tensor& x, const Pass& pass) const {
  return linear(x, weight_, Tensor(), pass.compute);
}

std::optional<Projection> FrozenLinear::projection(const Pass& /*pass*/) const {
  Projection projection;
  projection.weight = weight_;
  projection.bias = bias_;
  return projection;
}

void FrozenLinear::visit(Visitor& visitor, const std::string& name) {
  visitor.parameter(dotted(name, "bias"), bias_);
}

}  // namespace inlay
