// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "finetune/adapters/method.h"

/// Low-rank adapters (Hu et al. 2021, arXiv:2106.09685).
namespace inlay {

/// Keys of LoRA's own.
struct LoraKeys {
  /// true (Kaiming-uniform A, zero B), false (both random) or "gaussian" (normal A, zero B); in a
  /// finished adapter any word for how it began.
  BoolOrString init_lora_weights = true;
  /// Parameters of all experts, by the ends of their paths.
  std::vector<std::string> target_parameters;
};

/// "LORA" where nothing says that it is another method of that name.
AdapterMethod lora_method();

/// s, by which B A is multiplied: alpha / rank, or alpha / sqrt(rank) with use_rslora.
double lora_scale(const UpdateSite& site);

/// y = W x + b + s B A dropout(x), eq. 3.
class LoraUpdate : public LayerUpdate {
 public:
  LoraUpdate(const UpdateSite& site, const LinearLike& base);

  void add_to(Projection& layer, const LinearLike& base, const Pass& pass) const override;
  Tensor merged_rows(const Tensor& rows, i64 begin, const LinearLike& base) const override;
  std::vector<NamedTensor> tensors() const override;
  i64 product_parameters() const override { return lora_a_.numel() + lora_b_.numel(); }
  i64 rank() const override { return lora_a_.dim(0); }

 protected:
  double scale() const { return scale_; }
  const Tensor& lora_a() const { return lora_a_; }  // [rank, in]
  const Tensor& lora_b() const { return lora_b_; }  // [out, rank]

 private:
  std::string name_;
  double scale_;
  float dropout_;
  Tensor lora_a_, lora_b_;
};

/// y_t = E[t] + s A[:, t]^T B^T. Starts with A zero and B normal, as PEFT. No dropout.
class LoraTableUpdate : public TableUpdate {
 public:
  LoraTableUpdate(const UpdateSite& site, const EmbeddingLike& base);

  Tensor apply(const Tensor& rows, const Indices& ids, Keep keep) const override;
  std::vector<NamedTensor> tensors() const override;
  i64 rank() const override { return lora_a_.dim(0); }

 private:
  double scale_;
  Tensor lora_a_, lora_b_;  // [rank, V], [C, rank]
};

}  // namespace inlay
