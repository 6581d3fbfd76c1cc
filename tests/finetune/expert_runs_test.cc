// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cmath>
#include <string>
#include <vector>

#include "finetune/adapters/adapter.h"
#include "finetune/bench/useful_work.h"
#include "nn/models/families.h"
#include "tests/support/golden.h"
#include "tests/support/model_passes.h"
#include "tests/support/tiny_models.h"
#include "tests/support/training_run.h"

/// Models with experts, trained with every kind of product and storage that others are.
namespace inlay {
namespace {

struct ExpertRun {
  const char* fixture;
  bool on_experts;  // the adapter is on their matrices, too
};

void PrintTo(const ExpertRun& run, std::ostream* out) {
  *out << run.fixture << (run.on_experts ? ", experts adapted" : "");
}

OrderedJson adapter_config(bool on_experts) {
  OrderedJson peft = {{"r", 4}, {"lora_alpha", 8}};
  if (on_experts) {
    peft["target_parameters"] = {"experts.gate_up_proj", "experts.down_proj"};
  }
  return peft;
}

class ExpertRuns : public ::testing::TestWithParam<ExpertRun> {
 protected:
  ExpertRuns() {
    std::vector<OrderedJson> rows;
    for (u32 i = 0; i < 8; ++i) {
      rows.push_back({{"input_ids", random_ids(33, 80, i)}});
    }
    write_lines(place_.file("rows.jsonl"), rows);
  }

  std::vector<double> losses(const OrderedJson& training, const OrderedJson& quantization) {
    OrderedJson json = {
        {"model", {{"model_name_or_path", golden(str("models/families/", GetParam().fixture))}}},
        {"peft", adapter_config(GetParam().on_experts)},
        {"data", {{"train", place_.file("rows.jsonl")}, {"format", "tokens"}}},
        {"training",
         {{"max_steps", 10},
          {"per_device_train_batch_size", 4},
          {"learning_rate", 0.01},
          {"lr_scheduler_type", "constant"}}},
        {"quantization", quantization},
        {"save", {{"output_dir", place_.file(str("run", runs_++))}}}};
    json["training"].update(training);
    RecordingListener listener;
    run_training(read_run_config(place_, json), {}, listener);
    std::vector<double> found;
    for (const StepMetrics& step : listener.steps) {
      found.push_back(step.loss);
    }
    return found;
  }

 private:
  TempDirectory place_;
  int runs_ = 0;
};

// How far a run may be from f32's: three to four times what was found over all families.
TEST_P(ExpertRuns, StayCloseToTheRunInF32) {
  const OrderedJson f32 = {{"compute_dtype", "f32"}}, none = nullptr;
  const std::vector<double> expected = losses(f32, none);
  EXPECT_LT(expected.back(), expected.front() - 0.1);
  const OrderedJson nf4 = {{"load_in_4bit", true}},
                    fp4 = {{"load_in_4bit", true}, {"bnb_4bit_quant_type", "fp4"}};
  const struct {
    const char* compute;
    OrderedJson quantization;
    double bound;
  } cases[] = {{"bf16", none, 0.05}, {"int8", none, 0.1}, {"f32", nf4, 0.3},
               {"bf16", nf4, 0.3},   {"int8", nf4, 0.3},  {"f32", fp4, 0.4}};
  for (const auto& c : cases) {
    SCOPED_TRACE(str(c.compute, " ", c.quantization.dump()));
    const std::vector<double> found = losses({{"compute_dtype", c.compute}}, c.quantization);
    ASSERT_EQ(found.size(), expected.size());
    double worst = 0.0;
    for (std::size_t i = 0; i < found.size(); ++i) {
      worst = std::max(worst, std::abs(found[i] - expected[i]));
    }
    EXPECT_LE(worst, c.bound);
    EXPECT_GT(worst, 0.0);  // it did something else
    EXPECT_LT(found.back(), found.front() - 0.1);
  }
}

TEST_P(ExpertRuns, WorkIsThatOfTheChosenExperts) {
  LoadedModel loaded = load_model_at(golden(str("models/families/", GetParam().fixture)));
  const auto work = [&] { return useful_work(*loaded.model, 8); };
  const DecoderPlan plan = plan_of(*loaded.config);
  i64 of_experts = 0, factors = 0;
  for (const LayerPlan& layer : plan.layers) {
    if (layer.experts) {
      const i64 C = plan.sizes.hidden_size, I = layer.experts->width,
                k = layer.experts->routing.chosen;
      of_experts += 3 * k * C * I;
      factors += k * 4 * (C + 2 * I + I + C);
    }
  }
  struct Dense final : Visitor {
    void linear(const std::string& /*name*/, std::unique_ptr<LinearLike>& slot) override {
      parameters += slot->in_features() * slot->out_features();
    }
    i64 parameters = 0;
  } dense;
  loaded.model->visit(dense, "");
  EXPECT_EQ(work().parameters, dense.parameters + of_experts);
  inject_adapter(*loaded.model, peft_config({{"r", 4}}), {.key = RandomKey(1)});
  const i64 without = work().lora_parameters;
  loaded = load_model_at(golden(str("models/families/", GetParam().fixture)));
  inject_adapter(*loaded.model, peft_config(adapter_config(true)), {.key = RandomKey(1)});
  EXPECT_EQ(work().lora_parameters, without + factors);
  EXPECT_EQ(work().trained_parameters, 0);
}

INSTANTIATE_TEST_SUITE_P(, ExpertRuns,
                         ::testing::Values(ExpertRun{"olmoe", false}, ExpertRun{"olmoe", true},
                                           ExpertRun{"gpt_oss", true}, ExpertRun{"qwen3_moe", true},
                                           ExpertRun{"gemma4_moe", true},
                                           ExpertRun{"granitemoeshared", true}),
                         [](const auto& instance) {
                           return std::string(instance.param.fixture) +
                                  (instance.param.on_experts ? "_experts" : "");
                         });

}  // namespace
}  // namespace inlay
