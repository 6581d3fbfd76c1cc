// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "nn/embedding.h"
#include "nn/linear.h"

/// What adapters bring beside updates: single rows of a table (PEFT's trainable_token_indices) and
/// other biases. All of it is read from finished adapters and never
/// trained here.
namespace inlay {

/// Rows that take the place of a table's own.
struct ReplacedRows {
  std::vector<i32> ids;  // of the table
  Tensor values;         // [ids, width] f32

  /// `rows`, which are those from `begin` of the table, with the replaced ones among them set.
  void put_into(const Tensor& rows, i64 begin) const;
};

/// E[t], or its replacement.
class EmbeddingWithRows final : public EmbeddingLike {
 public:
  EmbeddingWithRows(std::unique_ptr<EmbeddingLike> base, ReplacedRows rows);

  Tensor forward(const Indices& ids, const Pass& pass) const override;
  i64 rows() const override { return base_->rows(); }
  i64 width() const override { return base_->width(); }
  Tensor weight_rows(i64 begin, i64 end) const override;
  /// Over the replaced rows, too: with tied weights PEFT gives them to both sides.
  std::unique_ptr<LinearLike> tied_head() const override;
  void visit(Visitor& visitor, const std::string& name) override;

 private:
  std::unique_ptr<EmbeddingLike> base_;
  ReplacedRows replaced_;
};

/// x W^T + bias with rows of W replaced: a head over trained tokens.
class LinearWithRows final : public LinearLike {
 public:
  LinearWithRows(std::unique_ptr<LinearLike> base, ReplacedRows rows);

  Tensor forward(const Tensor& x, const Pass& pass) const override;
  Tensor product(const Tensor& x, const Pass& pass) const override;
  Tensor bias() const override { return base_->bias(); }
  i64 in_features() const override { return base_->in_features(); }
  i64 out_features() const override { return base_->out_features(); }
  Tensor weight_rows(i64 begin, i64 end) const override;
  WeightLayout checkpoint_layout() const override { return base_->checkpoint_layout(); }
  void prepack(GemmCompute compute) override { base_->prepack(compute); }
  void visit(Visitor& visitor, const std::string& name) override;

 private:
  std::unique_ptr<LinearLike> base_;
  ReplacedRows replaced_;
};

/// x W^T + another bias than the layer's own.
class LinearWithBias final : public LinearLike {
 public:
  LinearWithBias(std::unique_ptr<LinearLike> base, Tensor bias);

  Tensor forward(const Tensor& x, const Pass& pass) const override;
  Tensor product(const Tensor& x, const Pass& pass) const override {
    return base_->product(x, pass);
  }
  ProjectionForm form(const Pass& pass) const override { return base_->form(pass); }
  std::optional<Projection> projection(const Pass& pass) const override;
  Tensor bias() const override { return bias_; }
  i64 in_features() const override { return base_->in_features(); }
  i64 out_features() const override { return base_->out_features(); }
  Tensor weight_rows(i64 begin, i64 end) const override { return base_->weight_rows(begin, end); }
  WeightLayout checkpoint_layout() const override { return base_->checkpoint_layout(); }
  void prepack(GemmCompute compute) override { base_->prepack(compute); }
  void visit(Visitor& visitor, const std::string& name) override;

 private:
  std::unique_ptr<LinearLike> base_;
  Tensor bias_;  // [out]
};

}  // namespace inlay
