// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nn/embedding.h"
#include "nn/linear.h"
#include "nn/module.h"
#include "nn/pass.h"

namespace inlay {

/// One layer of a decoder: [N, C] -> [N, C].
class DecoderBlock : public Module {
 public:
  virtual Tensor forward(Tensor x, const Pass& pass) const = 0;
};

struct ModelSizes {
  i64 vocab_size = 0;
  i64 hidden_size = 0;
  i64 layers = 0;
  i64 kv_width = 0;         // floats a token and layer keep for keys, and again for values
  i64 max_positions = 0;    // tokens the position table or rope was made for
  bool hard_limit = false;  // positions beyond max_positions do not exist (a learned table)
};

/// A decoder-only language model: tokens in, logits for the next token out.
class CausalLM : public Module {
 public:
  /// Hidden states after the last norm, for the given rows of the pass (all N when none are given):
  /// [rows, C].
  Tensor hidden(const Pass& pass, std::optional<std::span<const i32>> rows = {}) const;
  /// Logits [n, V] of hidden states [n, C]; never by 8-bit products, whose errors nothing after
  /// them would average out.
  Tensor logits(const Tensor& h, const Pass& pass) const;
  /// The type in which `logits` takes their gradient with the least work.
  DType logit_gradient(const Pass& pass) const;
  const ModelSizes& sizes() const { return sizes_; }
  /// `model_type` of config.json: "llama", "gpt2".
  const std::string& family() const { return family_; }

 protected:
  CausalLM(std::string family, const ModelSizes& sizes)
      : family_(std::move(family)), sizes_(sizes) {}
  virtual Tensor embed(const Pass& pass) const = 0;
  virtual Tensor final_norm(const Tensor& x) const = 0;

  std::vector<std::unique_ptr<DecoderBlock>> blocks_;
  std::unique_ptr<LinearLike> lm_head_;

 private:
  std::string family_;
  ModelSizes sizes_;
};

}  // namespace inlay
