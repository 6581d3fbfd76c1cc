// SPDX-License-Identifier: Apache-2.0
#include "finetune/trainer.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"
#include "finetune/adapters/adapter.h"
#include "finetune/evaluate.h"
#include "tests/support/error_text.h"
#include "tests/support/model_passes.h"
#include "tests/support/tiny_models.h"
#include "tests/support/training_run.h"

namespace inlay {
namespace {

void set_value(const Tensor& t, std::size_t index, float value) {
  std::vector<float> values = t.to_vector();
  values[index] = value;
  t.copy_bytes_in(std::as_bytes(std::span(values)));
}

class TrainerTest : public ::testing::Test {
 protected:
  TrainerTest() { set_num_threads(1); }

  static TrainerOptions options(i64 steps) {
    TrainerOptions o;
    o.schedule = {.kind = &schedule_named("constant"), .learning_rate = 0.01, .total_steps = steps};
    return o;
  }

  BatchSchedule schedule(i64 batch_size, i64 accumulation = 1) const {
    return BatchSchedule({.rows = static_cast<i64>(examples_.size()),
                          .batch_size = batch_size,
                          .accumulation = accumulation});
  }

  /// Trains a fresh model and returns what was logged.
  std::vector<StepMetrics> train(const TrainerOptions& o, i64 batch_size, i64 accumulation = 1,
                                 const std::vector<Example>& validation = {}) {
    LoadedModel loaded = make_tiny(tiny_llama(), {.trainable = true});
    const BatchSchedule batches = schedule(batch_size, accumulation);
    Trainer trainer(*loaded.model, batches, examples_, validation, o);
    RecordingListener listener;
    EXPECT_TRUE(trainer.run(listener));
    evals_ = listener.evals;
    return listener.steps;
  }

  static NamedTensor parameter(CausalLM& model, const std::string& name) {
    for (const NamedTensor& p : parameters(model)) {
      if (p.name == name) {
        return p;
      }
    }
    ADD_FAILURE() << name;
    return {};
  }

  std::vector<Example> examples_ = random_examples({9, 4, 12, 6, 3}, 29);
  std::vector<EvalMetrics> evals_;
};

// The mean is over trained tokens, not over rows or batches of different lengths.
TEST_F(TrainerTest, AStepIsTheSameHoweverItsRowsAreCutIntoBatches) {
  const std::vector<StepMetrics> whole = train(options(4), 4);
  const std::vector<StepMetrics> single = train(options(4), 1, 4);
  const std::vector<StepMetrics> pairs = train(options(4), 2, 2);
  for (std::size_t s = 0; s < whole.size(); ++s) {
    // Sums in another order, of losses of 4, over a few steps.
    EXPECT_NEAR(single[s].loss, whole[s].loss, 1e-5);
    EXPECT_NEAR(pairs[s].loss, whole[s].loss, 1e-5);
    EXPECT_NEAR(single[s].grad_norm / whole[s].grad_norm, 1.0, 1e-4);
    EXPECT_EQ(single[s].tokens, whole[s].tokens);
  }
}

TEST_F(TrainerTest, TheFirstLossIsThatOfTheModel) {
  const LoadedModel loaded = make_tiny(tiny_llama());
  const LossReport report =
      evaluate_loss(*loaded.model, CrossEntropy(), examples_, {.batch_size = 2});
  const std::vector<StepMetrics> steps = train(options(1), 5);
  EXPECT_NEAR(steps[0].loss, report.loss, 2e-6);
}

TEST_F(TrainerTest, CountsStepsEpochsAndTokens) {
  // 5 rows by 2: three batches an epoch, the last of one row; 34 tokens in all.
  const std::vector<StepMetrics> steps = train(options(4), 2);
  ASSERT_EQ(steps.size(), 4U);
  const i64 tokens[] = {13, 31, 34, 47};
  const double epochs[] = {1 / 3.0, 2 / 3.0, 1.0, 4 / 3.0};  // by batches
  for (int s = 0; s < 4; ++s) {
    EXPECT_EQ(steps[s].step, s + 1);
    EXPECT_EQ(steps[s].tokens, tokens[s]);
    EXPECT_NEAR(steps[s].epoch, epochs[s], 1e-12);
    EXPECT_EQ(steps[s].learning_rate, 0.01);
  }
}

TEST_F(TrainerTest, LogsTheMeanOfTheStepsSinceTheLastLog) {
  const std::vector<StepMetrics> each = train(options(5), 2);
  TrainerOptions seldom = options(5);
  seldom.logging_steps = 2;
  const std::vector<StepMetrics> pairs = train(seldom, 2);
  ASSERT_EQ(pairs.size(), 3U);  // after 2 and 4, and at the end
  const auto trained = [&](int a, int b) {
    return static_cast<double>(examples_[a].trained() + (b < 0 ? 0 : examples_[b].trained()));
  };
  const double first = trained(0, 1);
  const double second = trained(2, 3);
  EXPECT_NEAR(pairs[0].loss, (each[0].loss * first + each[1].loss * second) / (first + second),
              1e-12);
  EXPECT_EQ(pairs[0].grad_norm, each[1].grad_norm);
  EXPECT_EQ(pairs[2].loss, each[4].loss);
}

TEST_F(TrainerTest, EvaluatesWhenDueAndAtTheEnd) {
  TrainerOptions o = options(5);
  o.eval_steps = 2;
  train(o, 2, 1, random_examples({6, 7}, 29));
  ASSERT_EQ(evals_.size(), 3U);
  EXPECT_EQ(evals_[0].step, 2);
  EXPECT_EQ(evals_[1].step, 4);
  EXPECT_EQ(evals_[2].step, 5);
  o.eval_steps = 0;
  train(o, 2, 1, random_examples({6, 7}, 29));
  EXPECT_EQ(evals_.size(), 1U);
}

TEST_F(TrainerTest, ClipsByTheNormOfAllGradients) {
  TrainerOptions o = options(3);
  o.max_grad_norm = 0.0;
  const std::vector<StepMetrics> free = train(o, 2);
  o.max_grad_norm = 1e-3;
  const std::vector<StepMetrics> clipped = train(o, 2);
  EXPECT_EQ(clipped[0].grad_norm, free[0].grad_norm) << "the norm is that before clipping";
  EXPECT_GT(free[0].grad_norm, 1e-2);
  // Adam hardly feels a factor on all gradients: only epsilon and the ratio between steps change.
  EXPECT_NE(clipped[2].loss, free[2].loss);
}

TEST_F(TrainerTest, StopsAtALossThatIsNotFiniteBeforeItHarmsAnything) {
  LoadedModel loaded = make_tiny(tiny_llama(), {.trainable = true});
  const NamedTensor norm = parameter(*loaded.model, "model.norm.weight");
  // A processor makes its own NaNs negative, and no sentence shows it.
  set_value(norm.value, 3, -std::numeric_limits<float>::quiet_NaN());
  const std::vector<float> q =
      parameter(*loaded.model, "model.layers.0.self_attn.q_proj.weight").value.to_vector();
  const BatchSchedule batches = schedule(2);
  Trainer trainer(*loaded.model, batches, examples_, {}, options(2));
  RecordingListener listener;
  EXPECT_EQ(error_text<DivergedError>([&] { trainer.run(listener); }),
            "step 1: the loss is nan, and model.norm.weight holds nan");
  EXPECT_EQ(parameter(*loaded.model, "model.layers.0.self_attn.q_proj.weight").value.to_vector(),
            q);
  EXPECT_EQ(trainer.state().step, 0);
  for (const Parameter& p : trainer.parameters()) {
    EXPECT_FALSE(p.value.grad().defined()) << p.name;
  }
}

TEST_F(TrainerTest, TellsALossThatNoTrainedParameterExplains) {
  LoadedModel loaded = make_tiny(tiny_llama());
  set_value(parameter(*loaded.model, "model.norm.weight").value, 3,
            std::numeric_limits<float>::infinity());
  inject_adapter(*loaded.model, peft_config({{"r", 2}}), {.key = RandomKey(1)});
  const BatchSchedule batches = schedule(2);
  Trainer trainer(*loaded.model, batches, examples_, {}, options(2));
  RecordingListener listener;
  EXPECT_EQ(error_text<DivergedError>([&] { trainer.run(listener); }),
            "step 1: the loss is nan, though every trained parameter is finite");
}

TEST_F(TrainerTest, DivergesWithAStepThatIsFarTooLong) {
  LoadedModel loaded = make_tiny(tiny_llama(), {.trainable = true});
  TrainerOptions o = options(50);
  o.schedule.learning_rate = 1e38;
  const BatchSchedule batches = schedule(2);
  Trainer trainer(*loaded.model, batches, examples_, {}, o);
  RecordingListener listener;
  const std::string sentence = error_text<DivergedError>([&] { trainer.run(listener); });
  EXPECT_EQ(sentence.rfind("step 2: the ", 0), 0U) << sentence;
  EXPECT_EQ(listener.steps.size(), 1U);
}

TEST_F(TrainerTest, NeedsSomethingToTrain) {
  LoadedModel loaded = make_tiny(tiny_llama());
  const BatchSchedule batches = schedule(2);
  EXPECT_EQ(
      error_text<ConfigError>([&] { Trainer(*loaded.model, batches, examples_, {}, options(2)); }),
      "nothing to train: no parameter wants a gradient");
}

TEST_F(TrainerTest, TrainsTheAdapterAndLeavesTheBaseAsItIs) {
  LoadedModel loaded = make_tiny(tiny_llama());
  const LoadedModel base = make_tiny(tiny_llama());
  const Adapter adapter =
      inject_adapter(*loaded.model, peft_config({{"r", 2}, {"target_modules", {"v_proj"}}}),
                     {.key = RandomKey(1)});
  const BatchSchedule batches = schedule(2);
  Trainer trainer(*loaded.model, batches, examples_, {}, options(3));
  EXPECT_EQ(trainer.parameters().size(), adapter.tensors.size());
  RecordingListener listener;
  trainer.run(listener);
  for (const NamedTensor& p : parameters(*base.model)) {
    if (p.value.defined()) {
      EXPECT_EQ(parameter(*loaded.model, p.name).value.to_vector(), p.value.to_vector()) << p.name;
    }
  }
}

TEST(EvaluateLoss, DoesNotDependOnTheBatchSize) {
  const LoadedModel loaded = make_tiny(tiny_gpt2());
  std::vector<Example> examples = random_examples({9, 4, 12, 6, 3}, 29);
  for (i32& label : examples[1].labels) {
    label = kIgnoreLabel;  // a row of which nothing is learnt counts nothing
  }
  const LossReport one = evaluate_loss(*loaded.model, CrossEntropy(), examples, {});
  for (const i64 batch : {2, 3, 100}) {
    const LossReport more =
        evaluate_loss(*loaded.model, CrossEntropy(), examples, {.batch_size = batch});
    EXPECT_EQ(more.tokens, one.tokens);
    EXPECT_NEAR(more.loss, one.loss, 1e-6);  // the loss of a batch is an f32
  }
  EXPECT_DOUBLE_EQ(one.perplexity(), std::exp(one.loss));
  i64 trained = 0;
  for (const Example& example : examples) {
    trained += example.trained();
  }
  EXPECT_EQ(one.tokens, trained);
}

TEST(EvaluateLoss, OfNothingIsZero) {
  const LoadedModel loaded = make_tiny(tiny_gpt2());
  const LossReport report = evaluate_loss(*loaded.model, CrossEntropy(), {}, {.batch_size = 4});
  EXPECT_EQ(report.tokens, 0);
  EXPECT_EQ(report.loss, 0.0);
}

}  // namespace
}  // namespace inlay
