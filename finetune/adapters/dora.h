// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "finetune/adapters/lora.h"

/// Weight-decomposed low-rank adapters (Liu et al. 2024, arXiv:2402.09353): length and direction of
/// each row are trained apart.
namespace inlay {

/// "LORA" with use_dora.
AdapterMethod dora_method();

/// V = W + s B A, n_o = |V_o|, y = (m / n) V x + b; n is recomputed each pass, with no gradient
/// through it. Dropout is of what A reads, as without DoRA: y = (m / n) (W x + s B A dropout(x)) +
/// b. (PEFT gives the dropped x to (m / n - 1) W as well: the same on the mean, for a second
/// product with W.)
class DoraUpdate final : public LoraUpdate {
 public:
  DoraUpdate(const UpdateSite& site, const LinearLike& base);

  void add_to(Projection& layer, const LinearLike& base, const Pass& pass) const override;
  bool scales() const override { return true; }
  Tensor merged_rows(const Tensor& rows, i64 begin, const LinearLike& base) const override;
  std::vector<NamedTensor> tensors() const override;

 private:
  Tensor inverse_norms(const LinearLike& base, const Pass& pass) const;
  Tensor gain(const LinearLike& base, const Pass& pass) const;

  Tensor base_squares_;  // |W_o|^2, as row_squares has them
  Tensor magnitude_;     // m [out]
};

/// DoRA on a table that is not trained any more: V = E + s (B A)^T, y_t = (m / |V|) V_t, a length
/// for each feature.
class DoraTableUpdate final : public LoraTableUpdate {
 public:
  DoraTableUpdate(const UpdateSite& site, const EmbeddingLike& base);

  Tensor apply(const Tensor& rows, const Indices& ids, Keep keep) const override;
  std::vector<NamedTensor> tensors() const override;
  void settle(const EmbeddingLike& base) override;

 private:
  Tensor magnitude_;  // m [width]
  Tensor gain_;       // m / |V|, once it is known
};

}  // namespace inlay
