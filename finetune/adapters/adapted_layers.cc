// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/adapted_layers.h"

#include <numeric>
#include <utility>
#include <vector>

#include "core/autograd/graph.h"
#include "core/ops/elementwise.h"

namespace inlay {
namespace {

void show(Visitor& visitor, const std::string& name, const std::vector<NamedTensor>& tensors) {
  for (NamedTensor t : tensors) {
    visitor.parameter(dotted(name, t.name), t.value);
  }
}

}  // namespace

Tensor trainable_zeros(const Shape& shape) {
  const MemoryScope scope(MemoryClass::kAdapters);
  Tensor t = Tensor::zeros(shape);
  t.set_requires_grad(true);
  return t;
}

AdaptedLinear::AdaptedLinear(std::unique_ptr<LinearLike> base, std::unique_ptr<LayerUpdate> update)
    : base_(std::move(base)), update_(std::move(update)) {}

// A projection has one pair of scales around all it sums: over those of the layer below nothing can
// be added.
ProjectionForm AdaptedLinear::form(const Pass& pass) const {
  const ProjectionForm below = base_->form(pass);
  if (!pass.adapters) {
    return below;
  }
  if (below != ProjectionForm::kPlain) {
    return ProjectionForm::kNone;
  }
  return update_->scales() ? ProjectionForm::kScaled : ProjectionForm::kPlain;
}

std::optional<Projection> AdaptedLinear::projection(const Pass& pass) const {
  if (form(pass) == ProjectionForm::kNone) {
    return std::nullopt;
  }
  std::optional<Projection> layer = base_->projection(pass);
  if (pass.adapters) {
    update_->add_to(*layer, *base_, pass);
  }
  return layer;
}

// Where the layer below is no plain projection, the update is computed beside it.
Tensor AdaptedLinear::around_base(const Tensor& x, const Pass& pass, bool with_bias) const {
  Projection own;
  own.bias = base_->bias();
  update_->add_to(own, *base_, pass);
  const Tensor input = own.input_scale.defined() ? scale_columns(x, own.input_scale, pass.keep) : x;
  Tensor y = base_->product(input, pass);
  if (!own.updates.empty()) {
    Projection updates;
    updates.updates = std::move(own.updates);
    y = project_onto(y, input, updates, pass.compute, pass.keep);
  }
  if (own.output_scale.defined()) {
    y = scale_columns(y, own.output_scale, pass.keep);
  }
  return with_bias && own.bias.defined() ? add_row(std::move(y), own.bias) : y;
}

Tensor AdaptedLinear::forward(const Tensor& x, const Pass& pass) const {
  if (!pass.adapters) {
    return base_->forward(x, pass);
  }
  if (const std::optional<Projection> layer = projection(pass)) {
    return project(x, {&*layer, 1}, pass.compute, DType::kF32, pass.keep)[0];
  }
  return around_base(x, pass, true);
}

Tensor AdaptedLinear::product(const Tensor& x, const Pass& pass) const {
  if (!pass.adapters) {
    return base_->product(x, pass);
  }
  if (std::optional<Projection> layer = projection(pass)) {
    layer->bias = Tensor();
    return project(x, {&*layer, 1}, pass.compute, DType::kF32, pass.keep)[0];
  }
  return around_base(x, pass, false);
}

Tensor AdaptedLinear::weight_rows(i64 begin, i64 end) const {
  const NoGrad guard;
  return update_->merged_rows(base_->weight_rows(begin, end), begin, *base_);
}

void AdaptedLinear::visit(Visitor& visitor, const std::string& name) {
  base_->visit(visitor, name);
  show(visitor, name, update_->tensors());
}

AdaptedEmbedding::AdaptedEmbedding(std::unique_ptr<EmbeddingLike> base,
                                   std::unique_ptr<TableUpdate> update)
    : base_(std::move(base)), update_(std::move(update)) {}

Tensor AdaptedEmbedding::forward(const Indices& ids, const Pass& pass) const {
  const Tensor rows = base_->forward(ids, pass);
  return pass.adapters ? update_->apply(rows, ids, pass.keep) : rows;
}

Tensor AdaptedEmbedding::weight_rows(i64 begin, i64 end) const {
  const NoGrad guard;
  std::vector<i32> ids(static_cast<std::size_t>(end - begin));
  std::iota(ids.begin(), ids.end(), static_cast<i32>(begin));
  return update_->apply(base_->weight_rows(begin, end), ids, Keep::kExact);
}

void AdaptedEmbedding::visit(Visitor& visitor, const std::string& name) {
  base_->visit(visitor, name);
  show(visitor, name, update_->tensors());
}

}  // namespace inlay
