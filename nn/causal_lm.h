// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <span>
#include <string>

#include "nn/module.h"
#include "nn/pass.h"
#include "nn/state.h"

namespace inlay {

struct ModelSizes {
  i64 vocab_size = 0;
  i64 hidden_size = 0;
  i64 layers = 0;
  i64 max_positions = 0;    // tokens the position table or rope was made for
  bool hard_limit = false;  // positions beyond max_positions do not exist (a learned table)
  /// > 0: what a cache holds of sequences of at most so many tokens does not hold for longer ones,
  /// nor the other way round.
  i64 outgrown_beyond = 0;
};

/// A decoder-only language model: tokens in, logits for the next token out.
class CausalLM : public Module {
 public:
  /// Hidden states after the last norm, for the given rows of the pass (all N when none are given):
  /// [rows, C].
  virtual Tensor hidden(const Pass& pass, std::optional<std::span<const i32>> rows = {}) const = 0;
  /// Logits [n, V] of hidden states [n, C]; never by 8-bit products, whose errors nothing after
  /// them would average out.
  virtual Tensor logits(const Tensor& h, const Pass& pass) const = 0;
  /// The type in which `logits` takes their gradient with the least work.
  virtual DType logit_gradient(const Pass& pass) const = 0;
  /// An empty cache for `slots` sequences of at most `capacity` tokens each.
  virtual SequenceCache make_cache(i64 slots, i64 capacity) const = 0;
  /// Floating-point operations of a forward pass a token, in the mean over a sequence of T tokens,
  /// that are no product with a weight.
  virtual double mixing_work(i64 T) const = 0;

  virtual const ModelSizes& sizes() const = 0;
  /// `model_type` of config.json: "llama", "gpt2".
  virtual const std::string& family() const = 0;
  /// The path of the output head, the layer that gives logits: "lm_head".
  virtual const std::string& head_name() const = 0;
};

}  // namespace inlay
