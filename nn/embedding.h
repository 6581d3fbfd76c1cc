// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "core/ops/embedding.h"
#include "nn/linear.h"
#include "nn/module.h"

namespace inlay {

/// Anything that turns token ids into rows [ids, width].
class EmbeddingLike : public Module {
 public:
  virtual Tensor forward(const Indices& ids, const Pass& pass) const = 0;
  virtual i64 rows() const = 0;
  virtual i64 width() const = 0;
  /// The type of the table's values: f32, where they are none of the types of floats.
  virtual DType dtype() const { return DType::kF32; }
  /// Rows [begin, end) of the table this layer amounts to, f32, adapters included.
  virtual Tensor weight_rows(i64 begin, i64 end) const = 0;
  /// An output head over this very table (tied weights): the same storage, and for a trainable
  /// table the same leaf. An adapter on the embedding does not reach the head, as in PEFT.
  virtual std::unique_ptr<LinearLike> tied_head() const = 0;
};

/// The value as a number of that type.
float rounded_to(DType dtype, float value);

/// A dense table [V, C], trainable or not.
class Embedding final : public EmbeddingLike {
 public:
  explicit Embedding(Tensor weight) : weight_(std::move(weight)) {}

  Tensor forward(const Indices& ids, const Pass& pass) const override;
  i64 rows() const override { return weight_.dim(0); }
  i64 width() const override { return weight_.dim(1); }
  DType dtype() const override { return weight_.dtype(); }
  Tensor weight_rows(i64 begin, i64 end) const override;
  std::unique_ptr<LinearLike> tied_head() const override;
  void visit(Visitor& visitor, const std::string& name) override;

  const Tensor& weight() const { return weight_; }

 private:
  Tensor weight_;
};

/// A table that is never trained, in any storage.
class FrozenEmbedding final : public EmbeddingLike {
 public:
  explicit FrozenEmbedding(FrozenMatrix weight) : weight_(std::move(weight)) {}

  Tensor forward(const Indices& ids, const Pass& pass) const override;
  i64 rows() const override { return weight_.rows(); }
  i64 width() const override { return weight_.cols(); }
  DType dtype() const override;
  Tensor weight_rows(i64 begin, i64 end) const override { return weight_.decode(begin, end); }
  std::unique_ptr<LinearLike> tied_head() const override;
  void visit(Visitor& visitor, const std::string& name) override;

 private:
  FrozenMatrix weight_;
};

/// The head of a model with tied weights: computes with the embedding's table and owns no parameter
/// of its own.
class TiedHead final : public LinearLike {
 public:
  explicit TiedHead(std::unique_ptr<LinearLike> table) : table_(std::move(table)) {}

  Tensor forward(const Tensor& x, const Pass& pass) const override {
    return table_->forward(x, pass);
  }
  Tensor product(const Tensor& x, const Pass& pass) const override {
    return table_->product(x, pass);
  }
  ProjectionForm form(const Pass& pass) const override { return table_->form(pass); }
  std::optional<Projection> projection(const Pass& pass) const override {
    return table_->projection(pass);
  }
  Tensor bias() const override { return table_->bias(); }
  i64 in_features() const override { return table_->in_features(); }
  i64 out_features() const override { return table_->out_features(); }
  Tensor weight_rows(i64 begin, i64 end) const override { return table_->weight_rows(begin, end); }
  WeightLayout checkpoint_layout() const override { return table_->checkpoint_layout(); }
  void prepack(GemmCompute compute) override { table_->prepack(compute); }
  void visit(Visitor& /*visitor*/, const std::string& /*name*/) override {}

 private:
  std::unique_ptr<LinearLike> table_;
};

}  // namespace inlay
