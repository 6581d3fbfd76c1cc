// SPDX-License-Identifier: Apache-2.0
#include "finetune/objectives/objective.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "core/parallel.h"
#include "finetune/metrics_log.h"
#include "finetune/objectives/cross_entropy.h"
#include "finetune/objectives/registry.h"
#include "finetune/trainer.h"
#include "tests/support/model_passes.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_models.h"
#include "tests/support/training_run.h"

namespace inlay {
namespace {

std::vector<const Example*> pointers(const std::vector<Example>& examples) {
  std::vector<const Example*> out;
  for (const Example& example : examples) {
    out.push_back(&example);
  }
  return out;
}

struct LossAndGradients {
  double loss = 0.0;
  std::map<std::string, std::vector<float>> gradients;
};

LossAndGradients of_batches(const Objective& objective,
                            const std::vector<std::vector<Example>>& batches) {
  LoadedModel loaded = make_tiny(tiny_llama(), {.trainable = true});
  i64 weight = 0;
  for (const std::vector<Example>& rows : batches) {
    for (const Example& row : rows) {
      weight += objective.weight(row);
    }
  }
  LossAndGradients out;
  for (const std::vector<Example>& rows : batches) {
    const auto batch = objective.collate(pointers(rows));
    Pass pass;
    pass.tokens = &batch->tokens;
    const Tensor loss = batch->loss(*loaded.model, pass, static_cast<double>(weight)).loss;
    out.loss += static_cast<double>(loss.item());
    backward(loss);
  }
  for (const NamedTensor& p : trainable_parameters(*loaded.model)) {
    out.gradients[p.name] = p.value.grad().to_vector();
  }
  return out;
}

// What every row of the table promises the trainer: losses and gradients of batches add up by the
// weights of their rows, wherever the rows are cut.
TEST(Objectives, AddUpOverBatches) {
  const std::vector<Example> rows = random_examples({9, 4, 12, 6}, 29);
  for (const ObjectiveKind& kind : objectives()) {
    const std::shared_ptr<const Objective> objective = kind.make();
    i64 weight = 0;
    for (const Example& row : rows) {
      weight += objective->weight(row);
    }
    EXPECT_EQ(objective->collate(pointers(rows))->weight, weight) << kind.name;
    const LossAndGradients whole = of_batches(*objective, {rows});
    const LossAndGradients cut = of_batches(*objective, {{rows[0]}, {rows[1], rows[2]}, {rows[3]}});
    EXPECT_GT(whole.loss, 0.1) << kind.name;
    EXPECT_NEAR(cut.loss, whole.loss, 2e-6) << kind.name;  // sums of f32 in another order
    for (const auto& [name, gradient] : whole.gradients) {
      for (std::size_t i = 0; i < gradient.size(); ++i) {
        ASSERT_NEAR(cut.gradients.at(name)[i], gradient[i], 2e-6) << kind.name << ", " << name;
      }
    }
  }
}

// An objective of another kind: a row counts once, and its last label alone is learnt. Beside the
// loss it reports how long the rows are.
class LastLabel final : public Objective {
 public:
  class Batch final : public ObjectiveBatch {
   public:
    explicit Batch(std::span<const Example* const> examples) {
      for (const Example* example : examples) {
        tokens.append(example->ids);
        rows.push_back(static_cast<i32>(tokens.size()) - 2);
        targets.push_back(example->ids.back());
      }
      weight = std::ssize(examples);
    }
    BatchLoss loss(const CausalLM& model, const Pass& pass, double normalizer) const override {
      const Tensor loss = loss_of_rows(model, pass, rows, [&](Tensor logits, i64 first) {
        const auto own = std::span(targets).subspan(first, logits.dim(0));
        return cross_entropy(std::move(logits), own, normalizer);
      });
      return {loss, {{"length", Tensor::full({1}, static_cast<float>(tokens.size()))}}};
    }
    std::vector<i32> rows, targets;
  };
  i64 weight(const Example& /*row*/) const override { return 1; }
  std::unique_ptr<ObjectiveBatch> collate(std::span<const Example* const> rows) const override {
    return std::make_unique<Batch>(rows);
  }
};

// -log p of the last token of each row, from whole logits.
double mean_of_last(const CausalLM& model, const std::vector<Example>& rows) {
  double sum = 0.0;
  for (const Example& row : rows) {
    const Tensor logits = logits_of(model, {row.ids});
    const i64 before_last = std::ssize(row.ids) - 2;
    const i32 target[] = {row.ids.back()};
    sum += cross_entropy_rows(logits.slice(0, before_last, before_last + 1), target)
               .copy_out<double>()[0];
  }
  return sum / static_cast<double>(rows.size());
}

TEST(Objectives, ATrainerFollowsAnyOfThem) {
  set_num_threads(1);
  const std::vector<Example> rows = random_examples({9, 4, 12, 6}, 29);
  LoadedModel loaded = make_tiny(tiny_llama(), {.trainable = true});
  const double before = mean_of_last(*loaded.model, rows);
  const BatchSchedule schedule({.rows = 4, .batch_size = 3, .accumulation = 2});
  TrainerOptions options;
  options.objective = std::make_shared<LastLabel>();
  options.schedule = {
      .kind = &schedule_named("constant"), .learning_rate = 0.01, .total_steps = 30};
  Trainer trainer(*loaded.model, schedule, rows, rows, options);
  RecordingListener listener;
  trainer.run(listener);
  EXPECT_NEAR(listener.steps.front().loss, before, 2e-6) << "rows count alike";
  EXPECT_LT(listener.steps.back().loss, 0.1);
  ASSERT_EQ(listener.evals.size(), 1U);
  const LossReport& report = listener.evals[0].report;
  EXPECT_NEAR(report.loss, mean_of_last(*loaded.model, rows), 2e-6);
  EXPECT_EQ(report.tokens, 4);
  ASSERT_EQ(report.means.size(), 1U);
  EXPECT_EQ(report.means[0].first, "length");
  EXPECT_DOUBLE_EQ(report.means[0].second, (9 + 4 + 12 + 6) / 4.0);
}

TEST(Objectives, WhatOneReportsIsLogged) {
  const TempDirectory temp;
  MetricsLog log(temp.file("metrics.jsonl"), 0, 1);
  EvalMetrics metrics;
  metrics.step = 2;
  metrics.report = {.loss = 0.5, .tokens = 4, .means = {{"accuracy", 0.75}}};
  log.write(metrics);
  log.finish();
  const OrderedJson line = metrics_of(temp.file("")).at(0);
  EXPECT_EQ(line["eval_loss"], 0.5);
  EXPECT_EQ(line["eval_accuracy"], 0.75);
}

}  // namespace
}  // namespace inlay
