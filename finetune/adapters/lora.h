// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>

#include "core/random.h"
#include "nn/embedding.h"
#include "nn/linear.h"

/// Low-rank adapters around frozen layers (Hu et al. 2021, arXiv:2106.09685) and their
/// weight-decomposed form DoRA (Liu et al. 2024, arXiv:2402.09353). What the base is, dense or
/// quantised or an adapter itself, they do not know.
namespace inlay {

/// How the factors start: as PEFT, A uniform in +-1/sqrt(in) and B zero (kDefault); A normal with
/// deviation 1/rank and B zero (kGaussian); or both random, so that the start is not the base
/// (kRandom, `init_lora_weights: false`).
enum class LoraInit { kDefault, kGaussian, kRandom };

struct LoraSpec {
  i64 rank = 8;
  double scale = 2.0;  // s: alpha / rank, or alpha / sqrt(rank) with rank-stabilised LoRA
  float dropout = 0.0F;
  bool dora = false;
  LoraInit init = LoraInit::kDefault;
};

/// LoRA, eq. 3:   y = W x + b + s B A dropout(x)
/// DoRA, eq. 5:   y = (m / n) (W x + s B A dropout(x)) + b,   n_o = |V_o|,   V = W + s B A
/// n is computed anew each pass and no gradient goes through it. Dropout is of what A reads, as
/// without DoRA. (PEFT gives the dropped x to (m / n - 1) W as well: the same on the mean, for a
/// second product with W.)
class LoraLinear final : public LinearLike {
 public:
  /// `name` is the wrapped layer's path; the factors are drawn from `key` by it.
  LoraLinear(std::string name, std::unique_ptr<LinearLike> base, const LoraSpec& spec,
             RandomKey key);

  Tensor forward(const Tensor& x, const Pass& pass) const override;
  Tensor product(const Tensor& x, const Pass& pass) const override;
  std::optional<Projection> projection(const Pass& pass) const override;
  const Tensor& bias() const override { return base_->bias(); }
  i64 in_features() const override { return base_->in_features(); }
  i64 out_features() const override { return base_->out_features(); }
  WeightLayout checkpoint_layout() const override { return base_->checkpoint_layout(); }
  void prepack(GemmCompute compute) override { base_->prepack(compute); }
  /// Rows of W + s B A, or of DoRA's diag(m / n) (W + s B A).
  Tensor weight_rows(i64 begin, i64 end) const override;
  void visit(Visitor& visitor, const std::string& name) override;

  const LoraSpec& spec() const { return spec_; }
  const LinearLike& base() const { return *base_; }
  const Tensor& lora_a() const { return lora_a_; }        // [rank, in]
  const Tensor& lora_b() const { return lora_b_; }        // [out, rank]
  const Tensor& magnitude() const { return magnitude_; }  // [out], DoRA only

 private:
  Tensor update(const Tensor& x, const Pass& pass) const;
  Tensor inverse_row_norms(const Pass& pass) const;

  std::string name_;
  std::unique_ptr<LinearLike> base_;
  LoraSpec spec_;
  Tensor lora_a_, lora_b_, magnitude_;
  std::vector<double> base_squares_;  // |W_o|^2, DoRA only
};

/// y_t = E[t] + s A[:, t]^T B^T. Starts with A zero and B normal, as PEFT. No dropout.
class LoraEmbedding final : public EmbeddingLike {
 public:
  LoraEmbedding(const std::string& name, std::unique_ptr<EmbeddingLike> base, const LoraSpec& spec,
                RandomKey key);

  Tensor forward(std::span<const i32> ids, const Pass& pass) const override;
  i64 rows() const override { return base_->rows(); }
  i64 width() const override { return base_->width(); }
  Tensor weight_rows(i64 begin, i64 end) const override;
  std::unique_ptr<LinearLike> tied_head() const override { return base_->tied_head(); }
  void visit(Visitor& visitor, const std::string& name) override;

  const LoraSpec& spec() const { return spec_; }
  const EmbeddingLike& base() const { return *base_; }
  const Tensor& lora_a() const { return lora_a_; }  // [rank, V]
  const Tensor& lora_b() const { return lora_b_; }  // [C, rank]

 private:
  std::unique_ptr<EmbeddingLike> base_;
  LoraSpec spec_;
  Tensor lora_a_, lora_b_;
};

}  // namespace inlay
