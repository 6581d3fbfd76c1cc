// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "core/ops/linear.h"
#include "core/ops/projection.h"
#include "nn/module.h"
#include "nn/pass.h"

namespace inlay {

/// What a layer is to those that compute several at once: a frozen product with low-rank updates,
/// the same between scales of its input or output, or nothing of the kind.
enum class ProjectionForm { kNone, kPlain, kScaled };

/// Anything that maps [..., in] to [..., out] as a linear layer does: a dense weight, a quantised
/// one, or one of these inside an adapter.
class LinearLike : public Module {
 public:
  /// x W^T + bias
  virtual Tensor forward(const Tensor& x, const Pass& pass) const = 0;
  /// x W^T alone
  virtual Tensor product(const Tensor& x, const Pass& pass) const = 0;
  /// Whether the layer is a projection in this pass; to ask is free. Such layers are computed
  /// together and onto a residual.
  virtual ProjectionForm form(const Pass& /*pass*/) const { return ProjectionForm::kNone; }
  /// That projection; nothing where its form is kNone.
  virtual std::optional<Projection> projection(const Pass& pass) const;
  /// [out] f32, or undefined; adapters included.
  virtual Tensor bias() const = 0;
  virtual i64 in_features() const = 0;
  virtual i64 out_features() const = 0;
  /// Rows [begin, end) of the weight this layer amounts to, [end - begin, in] f32, adapters
  /// included. For merging and row norms; decodes as it goes.
  virtual Tensor weight_rows(i64 begin, i64 end) const = 0;
  /// Lays a frozen weight down for products of many rows that round to `compute`
  /// (FrozenMatrix::prepack); a trained one stays as it is.
  virtual void prepack(GemmCompute compute) = 0;
  /// How Hugging Face checkpoints of this model keep the weight, however it is held here.
  virtual WeightLayout checkpoint_layout() const = 0;
};

/// The layers' forward(x, pass), as one operation where all of them are projections; only then may
/// `result` be another type (project).
std::vector<Tensor> forward_together(std::initializer_list<const LinearLike*> layers,
                                     const Tensor& x, const Pass& pass, DType result = DType::kF32);

/// Whether values between these layers may be bf16: their products would round them anyway.
bool takes_bf16(std::initializer_list<const LinearLike*> layers, const Pass& pass);

/// Whether each of the layers is a projection in this pass.
bool are_projections(std::initializer_list<const LinearLike*> layers, const Pass& pass);

/// residual + layer.forward(x, pass)
Tensor forward_onto(const Tensor& residual, const LinearLike& layer, const Tensor& x,
                    const Pass& pass);

/// LinearLike::prepack of every layer of the module, the head included.
void prepack_frozen(Module& module, GemmCompute compute);

/// y = x W^T + bias with a dense weight [out, in], or [in, out] in GPT-2's layout; f32, bf16 or
/// f16.
class Linear final : public LinearLike {
 public:
  Linear(Tensor weight, Tensor bias, WeightLayout layout = WeightLayout::kOutIn);

  Tensor forward(const Tensor& x, const Pass& pass) const override;
  Tensor product(const Tensor& x, const Pass& pass) const override;
  ProjectionForm form(const Pass& /*pass*/) const override {
    return weight_.requires_grad() ? ProjectionForm::kNone : ProjectionForm::kPlain;
  }
  std::optional<Projection> projection(const Pass& pass) const override;
  Tensor bias() const override { return bias_; }
  i64 in_features() const override { return weight_.dim(layout_ == WeightLayout::kOutIn ? 1 : 0); }
  i64 out_features() const override { return weight_.dim(layout_ == WeightLayout::kOutIn ? 0 : 1); }
  Tensor weight_rows(i64 begin, i64 end) const override;
  void visit(Visitor& visitor, const std::string& name) override;

  WeightLayout checkpoint_layout() const override { return layout_; }
  void prepack(GemmCompute compute) override;

  const Tensor& weight() const { return weight_; }

 private:
  Tensor weight_;
  Tensor bias_;
  WeightLayout layout_;
  FrozenMatrix prepacked_;  // the weight with its panels, or undefined
};

/// A linear layer over a weight that is never trained, in any storage: bf16 from a mapped file,
/// GGUF blocks, 4-bit codes. The weight is decoded inside the product.
class FrozenLinear : public LinearLike {
 public:
  FrozenLinear(FrozenMatrix weight, Tensor bias,
               WeightLayout checkpoint_layout = WeightLayout::kOutIn);

  Tensor forward(const Tensor& x, const Pass& pass) const override;
  Tensor product(const Tensor& x, const Pass& pass) const override;
  ProjectionForm form(const Pass& /*pass*/) const override { return ProjectionForm::kPlain; }
  std::optional<Projection> projection(const Pass& pass) const override;
  Tensor bias() const override { return bias_; }
  i64 in_features() const override { return weight_.cols(); }
  i64 out_features() const override { return weight_.rows(); }
  Tensor weight_rows(i64 begin, i64 end) const override { return weight_.decode(begin, end); }
  void visit(Visitor& visitor, const std::string& name) override;

  WeightLayout checkpoint_layout() const override { return checkpoint_layout_; }
  void prepack(GemmCompute compute) override { weight_.prepack(compute); }

  const FrozenMatrix& weight() const { return weight_; }

 private:
  FrozenMatrix weight_;  // [out, in], whatever checkpoints keep
  Tensor bias_;
  WeightLayout checkpoint_layout_;
};

}  // namespace inlay
