// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "finetune/adapters/method.h"

/// Layers with an adapter's update, whatever the layer and whatever the method.
namespace inlay {

/// A linear layer, dense or quantised or adapted already, and one more adapter's update.
class AdaptedLinear final : public LinearLike {
 public:
  AdaptedLinear(std::unique_ptr<LinearLike> base, std::unique_ptr<LayerUpdate> update);

  Tensor forward(const Tensor& x, const Pass& pass) const override;
  Tensor product(const Tensor& x, const Pass& pass) const override;
  ProjectionForm form(const Pass& pass) const override;
  std::optional<Projection> projection(const Pass& pass) const override;
  Tensor bias() const override { return update_->merged_bias(base_->bias()); }
  i64 in_features() const override { return base_->in_features(); }
  i64 out_features() const override { return base_->out_features(); }
  WeightLayout checkpoint_layout() const override { return base_->checkpoint_layout(); }
  void prepack(GemmCompute compute) override { base_->prepack(compute); }
  Tensor weight_rows(i64 begin, i64 end) const override;
  void visit(Visitor& visitor, const std::string& name) override;

  const LinearLike& base() const { return *base_; }
  const LayerUpdate& update() const { return *update_; }

 private:
  Tensor around_base(const Tensor& x, const Pass& pass, bool with_bias) const;

  std::unique_ptr<LinearLike> base_;
  std::unique_ptr<LayerUpdate> update_;
};

/// A table and one adapter's update. An adapter on a table does not reach a head tied to it, as in
/// PEFT.
class AdaptedEmbedding final : public EmbeddingLike {
 public:
  AdaptedEmbedding(std::unique_ptr<EmbeddingLike> base, std::unique_ptr<TableUpdate> update);

  Tensor forward(const Indices& ids, const Pass& pass) const override;
  i64 rows() const override { return base_->rows(); }
  i64 width() const override { return base_->width(); }
  Tensor weight_rows(i64 begin, i64 end) const override;
  std::unique_ptr<LinearLike> tied_head() const override { return base_->tied_head(); }
  void visit(Visitor& visitor, const std::string& name) override;

  const EmbeddingLike& base() const { return *base_; }
  const TableUpdate& update() const { return *update_; }

 private:
  std::unique_ptr<EmbeddingLike> base_;
  std::unique_ptr<TableUpdate> update_;
};

}  // namespace inlay
