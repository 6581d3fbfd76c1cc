// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/ops/loss.h"
#include "data/example.h"
#include "nn/causal_lm.h"

/// What a run trains for: which logits it asks the model for, and the loss that it makes of them.
/// The trainer and the evaluation know no more than this; objectives are rows of registry.cc.
namespace inlay {

/// A sum over the rows of a batch that is reported beside the loss: its mean, by the rows' weights.
struct NamedSum {
  std::string name;
  Tensor value;  // [1] f32
};

struct BatchLoss {
  Tensor loss;                      // [1] f32, recorded; backward begins here
  std::vector<NamedSum> sums = {};  // the same names for every batch; nothing is recorded of them
};

/// Rows laid end to end for one forward pass, with all that the loss reads besides the model.
class ObjectiveBatch {
 public:
  virtual ~ObjectiveBatch() = default;

  /// The sum of the rows' losses divided by `normalizer`, in nats. `pass.tokens` is `tokens`. It
  /// may run passes of its own, of the model without its adapters, say (Pass::adapters).
  virtual BatchLoss loss(const CausalLM& model, const Pass& pass, double normalizer) const = 0;

  PackedTokens tokens;
  i64 weight = 0;  // of its rows together
};

class Objective {
 public:
  virtual ~Objective() = default;

  /// What a row counts in a mean: its trained tokens, where losses are those of tokens. The loss of
  /// a step is the mean over all its batches, so that eight batches of one row are one of eight.
  virtual i64 weight(const Example& row) const = 0;
  virtual std::unique_ptr<ObjectiveBatch> collate(std::span<const Example* const> rows) const = 0;
};

/// The sum of `loss` over the logits of the given rows of the pass, which exist only a piece at a
/// time (core/ops/loss.h). What it is made of begins a backward pass: a factor belongs into `loss`.
Tensor loss_of_rows(const CausalLM& model, const Pass& pass, std::span<const i32> rows,
                    const RowLoss& loss);

}  // namespace inlay
