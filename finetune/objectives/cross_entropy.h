// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "finetune/objectives/objective.h"

namespace inlay {

/// The tokens of some rows, and which of them predict a trained token.
class NextTokenBatch final : public ObjectiveBatch {
 public:
  explicit NextTokenBatch(std::span<const Example* const> examples);

  BatchLoss loss(const CausalLM& model, const Pass& pass, double normalizer) const override;

  std::vector<i32> rows;     // rows of the pass whose next token is trained on
  std::vector<i32> targets;  // that token
};

/// -log p(token | tokens before it) of every trained token.
class CrossEntropy final : public Objective {
 public:
  i64 weight(const Example& row) const override { return row.trained(); }
  std::unique_ptr<ObjectiveBatch> collate(std::span<const Example* const> rows) const override {
    return std::make_unique<NextTokenBatch>(rows);
  }
};

}  // namespace inlay
