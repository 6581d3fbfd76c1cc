// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/memory/memory.h"
#include "finetune/plan/fit.h"
#include "finetune/plan/heaviest.h"
#include "tests/support/error_text.h"
#include "tests/support/temp_directory.h"
#include "tests/support/tiny_models.h"
#include "tests/support/training_run.h"

namespace inlay {
namespace {

using Json = OrderedJson;

// Rows of `lengths` tokens as a data file.
void write_rows(const std::string& path, const std::vector<i64>& lengths, i64 vocab) {
  std::vector<Json> rows;
  for (const Example& example : random_examples(lengths, vocab)) {
    rows.push_back({{"input_ids", example.ids}, {"labels", example.labels}});
  }
  write_lines(path, rows);
}

struct PlannedRun {
  const char* name;
  Json changes;  // to a run
};

Json planned_llama(const Json& more = Json::object()) {
  Json json = tiny_llama({{"vocab_size", 200},
                          {"hidden_size", 64},
                          {"intermediate_size", 160},
                          {"num_hidden_layers", 4},
                          {"num_attention_heads", 4},
                          {"num_key_value_heads", 2},
                          {"head_dim", 16}});
  json.update(more);
  return json;
}

Json planned_gpt2() {
  return tiny_gpt2({{"vocab_size", 200},
                    {"n_embd", 64},
                    {"n_layer", 4},
                    {"n_head", 4},
                    {"n_positions", 256},
                    {"resid_pdrop", 0.1},
                    {"attn_pdrop", 0.1},
                    {"embd_pdrop", 0.1}});
}

Json with_lora(const Json& more = Json::object()) {
  Json json = {{"r", 4}, {"target_modules", "all-linear"}};
  json.update(more);
  return json;
}

std::vector<PlannedRun> planned_runs() {
  const Json four_bit = {{"load_in_4bit", true}};
  const auto again = [](const char* kind, const Json& layers = {}) {
    return Json{{"gradient_checkpointing", kind}, {"gradient_checkpointing_layers", layers}};
  };
  return {
      {"LlamaFull", {{"model", {{"config", planned_llama()}}}}},
      {"LlamaFullUntied",
       {{"model", {{"config", planned_llama({{"tie_word_embeddings", false}})}}}}},
      {"LlamaLora", {{"peft", with_lora()}}},
      {"LlamaLoraBf16Weights", {{"peft", with_lora()}, {"model", {{"dtype", "bf16"}}}}},
      {"LlamaLoraDropout", {{"peft", with_lora({{"lora_dropout", 0.1}})}}},
      {"LlamaDora", {{"peft", with_lora({{"use_dora", true}})}}},
      {"LlamaLoraOnTheEmbedding",
       {{"peft", with_lora({{"target_modules", {"embed_tokens", "q_proj"}}})}}},
      {"LlamaQlora", {{"peft", with_lora()}, {"quantization", four_bit}}},
      {"LlamaQloraSelective",
       {{"peft", with_lora()}, {"quantization", four_bit}, {"training", again("selective")}}},
      {"LlamaLoraBlockInTwoLayers", {{"peft", with_lora()}, {"training", again("block", 2)}}},
      {"LlamaFullBlock", {{"training", again("block")}}},
      {"LlamaFullIn8Bit", {{"training", {{"optim", "adamw_8bit"}}}}},
      {"LlamaRoundedActivations",
       {{"peft", with_lora()}, {"training", {{"activation_dtype", "bf16"}}}}},
      {"LlamaBf16", {{"peft", with_lora()}, {"training", {{"compute_dtype", "bf16"}}}}},
      {"LlamaReferenceAttention",
       {{"peft", with_lora()}, {"model", {{"attn_implementation", "reference"}}}}},
      {"LlamaAccumulation",
       {{"training", {{"per_device_train_batch_size", 1}, {"gradient_accumulation_steps", 3}}}}},
      {"LlamaOneStep", {{"training", {{"max_steps", 1}}}}},
      {"LlamaEvaluation", {{"peft", with_lora()}, {"data", {{"validation", "long.jsonl"}}}}},
      {"Gpt2Full", {{"model", {{"config", planned_gpt2()}}}}},
      {"Gpt2Lora", {{"model", {{"config", planned_gpt2()}}}, {"peft", with_lora()}}},
      {"Gpt2LoraSelective",
       {{"model", {{"config", planned_gpt2()}}},
        {"peft", with_lora()},
        {"training", again("selective")}}},
      {"LlamaLoraPrepacked",
       {{"model", {{"config", planned_llama()}}},
        {"peft", with_lora()},
        {"training", {{"compute_dtype", "bf16"}}},
        {"runtime", {{"prepack_weights", "always"}}}}},
      {"Gpt2Qlora",
       {{"model", {{"config", planned_gpt2()}}},
        {"peft", with_lora()},
        {"quantization", four_bit}}},
  };
}

class PlanOf : public ::testing::TestWithParam<int> {
 protected:
  PlanOf() {
    write_rows(temp_.file("rows.jsonl"), {20, 90, 33, 7, 120, 64, 64, 15, 41, 77}, 200);
    write_rows(temp_.file("long.jsonl"), {30, 250, 240}, 200);
  }

  Json run(const Json& changes) const {
    Json json = {{"model", {{"config", planned_llama()}}},
                 {"data", {{"train", temp_.file("rows.jsonl")}}},
                 {"training",
                  {{"num_train_epochs", 2},
                   {"per_device_train_batch_size", 2},
                   {"compute_dtype", "f32"},
                   {"gradient_checkpointing", "none"}}},
                 {"save", {{"output_dir", temp_.file("run")}}},
                 {"runtime", {{"threads", 1}}}};
    for (const auto& [section, value] : changes.items()) {
      if (section == "peft" || section == "quantization") {
        json[section] = value;
      } else {
        json[section].update(value);
      }
    }
    return json;
  }

  TempDirectory temp_;
};

// The rehearsal is the run, so what is predicted is what comes, to the byte, but for batches beside
// the heaviest ones that need more for their shape; 5 % is what a plan promises.
TEST_P(PlanOf, IsWhatTheRunTakes) {
  const RunConfig config = read_run_config(temp_, run(planned_runs()[GetParam()].changes));
  RecordingListener listener;
  ASSERT_EQ(current_memory().total(), 0);
  const RunResult result = run_training(config, {}, listener);
  const MemoryReport& planned = listener.plan.forecast.peak;
  EXPECT_NEAR(static_cast<double>(planned.total()), static_cast<double>(result.peak.total()),
              0.05 * static_cast<double>(result.peak.total()));
  for (const MemoryClass c : {MemoryClass::kWeights, MemoryClass::kAdapters}) {
    EXPECT_EQ(planned[c], result.peak[c]) << memory_class_name(c);
  }
  EXPECT_EQ(listener.plan.forecast.loaded.bytes, listener.plan.memory.bytes);
  // And `inlay plan` says the same.
  std::string problem;
  const RunPlan alone = plan_run(config, &problem);
  EXPECT_EQ(problem, "");
  EXPECT_EQ(alone.forecast.peak.bytes, planned.bytes);
  EXPECT_EQ(alone.steps, result.steps);
}

INSTANTIATE_TEST_SUITE_P(, PlanOf, ::testing::Range(0, static_cast<int>(planned_runs().size())),
                         [](const auto& instance) {
                           return std::string(planned_runs()[instance.param].name);
                         });

// A model of which each layer keeps megabytes: the size of the process itself matters little then.
class FittingPlan : public PlanOf {
 protected:
  FittingPlan() {
    write_rows(temp_.file("rows.jsonl"), {1000, 900, 1000, 1000}, 200);
    base_ = run({{"model",
                  {{"config", planned_llama({{"hidden_size", 128},
                                             {"intermediate_size", 1024},
                                             {"num_hidden_layers", 6}})}}},
                 {"peft", with_lora()},
                 {"training", {{"gradient_checkpointing", "auto"}}}});
  }
  void SetUp() override {
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    GTEST_SKIP()
        << "a sanitizer keeps freed memory resident, which the plan takes for the program's";
#endif
  }

  RunPlan plan(const Json& changes, std::string* problem) const {
    Json json = base_;
    for (const auto& [section, value] : changes.items()) {
      json[section].update(value);
    }
    return plan_run(read_run_config(temp_, json), problem);
  }
  RunPlan plan(const Json& changes) const {
    std::string problem;
    RunPlan found = plan(changes, &problem);
    EXPECT_EQ(problem, "");
    return found;
  }
  i64 resident(const char* kind, const Json& layers = {}) const {
    return plan({{"training",
                  {{"gradient_checkpointing", kind}, {"gradient_checkpointing_layers", layers}}}})
        .forecast.resident;
  }

  Json base_;
};

TEST_F(FittingPlan, RecomputesNoMoreThanTheMemoryAllowedDemands) {
  const i64 none = resident("none");
  const i64 selective = resident("selective");
  const i64 block = resident("block");
  ASSERT_LT(selective, none - (20 << 20));
  ASSERT_LT(block, selective - (5 << 20));
  constexpr i64 kNoise = 4 << 20;  // of this process, between one plan and the next
  const auto chosen = [&](i64 allowed) { return plan({{"runtime", {{"max_memory", allowed}}}}); };
  EXPECT_EQ(chosen(none + kNoise).gradient_checkpointing, Recompute::kNone);
  const RunPlan some = chosen((none + selective) / 2);
  EXPECT_EQ(some.gradient_checkpointing, Recompute::kSelective);
  ASSERT_TRUE(some.gradient_checkpointing_layers.has_value());
  const i64 layers = *some.gradient_checkpointing_layers;
  EXPECT_GT(layers, 1);
  EXPECT_LT(layers, 6);
  EXPECT_GT(resident("selective", layers - 1), (none + selective) / 2) << "one less would do";
  const RunPlan all = chosen(selective + kNoise);
  EXPECT_EQ(all.gradient_checkpointing, Recompute::kSelective);
  EXPECT_EQ(chosen(block + kNoise).gradient_checkpointing, Recompute::kBlock);
}

TEST_F(FittingPlan, PrepacksWhereThereIsRoomForIt) {
  const auto planned = [&](const char* way, const Json& allowed) {
    return plan({{"runtime", {{"prepack_weights", way}, {"max_memory", allowed}}}});
  };
  const i64 without = planned("never", "auto").forecast.resident;
  const RunPlan all = planned("always", "auto");
  // Six layers of 4 matrices of attention, 128 x 128 at most, and 3 of 128 x 1024: both ways.
  ASSERT_GT(all.forecast.resident, without + i64{6} * 3 * 128 * 1024 * 4 * 2);
  constexpr i64 kNoise = 4 << 20;  // of this process, between one plan and the next
  const RunPlan roomy = planned("auto", all.forecast.resident + kNoise);
  EXPECT_EQ(roomy.prepack_weights, Prepack::kAlways);
  EXPECT_EQ(roomy.gradient_checkpointing, Recompute::kNone);
  const RunPlan tight = planned("auto", (without + all.forecast.resident) / 2);
  EXPECT_EQ(tight.prepack_weights, Prepack::kNever);
  EXPECT_EQ(tight.gradient_checkpointing, Recompute::kNone);
}

TEST_F(FittingPlan, NamesWhatWouldHelpWhereNothingFits) {
  std::string problem;
  const RunPlan found = plan({{"runtime", {{"max_memory", "8MB"}}}}, &problem);
  EXPECT_EQ(found.gradient_checkpointing, Recompute::kBlock);
  EXPECT_EQ(found.gradient_checkpointing_layers, std::nullopt);
  EXPECT_TRUE(problem.starts_with("/runtime/max_memory: the run needs ")) << problem;
  EXPECT_NE(problem.find(" and 8.0 MB are allowed; it would need "), std::string::npos) << problem;
  EXPECT_NE(problem.find(" with training.per_device_train_batch_size=1 and "
                         "gradient_accumulation_steps=2"),
            std::string::npos)
      << problem;
  EXPECT_NE(problem.find(" with data.max_length="), std::string::npos) << problem;
  // The run itself says so too, and leaves nothing behind.
  Json json = base_;
  json["runtime"]["max_memory"] = "8MB";
  RecordingListener listener;
  EXPECT_TRUE(error_text<MemoryError>([&] {
                run_training(read_run_config(temp_, json), {}, listener);
              }).starts_with("/runtime/max_memory: the run needs "));
  EXPECT_FALSE(exists(temp_.file("run")));
}

TEST_F(FittingPlan, TheChoiceIsWrittenDownAndKeptByAResumedRun) {
  const i64 allowed = (resident("none") + resident("selective")) / 2;
  Json json = base_;
  json["runtime"]["max_memory"] = allowed;
  json["training"]["max_steps"] = 3;
  RecordingListener first(1);
  run_training(read_run_config(temp_, json), {}, first);
  const Json written = Json::parse(read_text(temp_.file("run/config.resolved.json")));
  EXPECT_EQ(written["training"]["gradient_checkpointing"], "selective");
  EXPECT_EQ(written["training"]["gradient_checkpointing_layers"],
            *first.plan.gradient_checkpointing_layers);
  EXPECT_EQ(written["runtime"]["max_memory"], allowed);
  json["runtime"]["max_memory"] = "auto";  // alone it would recompute nothing
  TrainOptions options;
  options.resume = "last";
  RecordingListener second;
  EXPECT_EQ(run_training(read_run_config(temp_, json), options, second).steps, 3);
  EXPECT_EQ(second.plan.gradient_checkpointing, Recompute::kSelective);
  EXPECT_EQ(second.plan.gradient_checkpointing_layers, first.plan.gradient_checkpointing_layers);
}

TEST(AllowedMemory, IsTheSizeNamedOrMostOfWhatIsFree) {
  RuntimeConfig runtime;
  runtime.max_memory = i64{123456789};
  EXPECT_EQ(allowed_memory(runtime), 123456789);
  runtime.max_memory = "1.5GiB";
  EXPECT_EQ(allowed_memory(runtime), 3 * (i64{1} << 29));
  runtime.max_memory = "auto";
  EXPECT_GT(allowed_memory(runtime), current_rss());
}

// Rows whose tokens are all trained on.
std::vector<Example> rows_of(const std::vector<i64>& lengths) {
  std::vector<Example> rows;
  rows.reserve(lengths.size());
  for (const i64 length : lengths) {
    rows.push_back({std::vector<i32>(length, 1), std::vector<i32>(length, 1)});
  }
  return rows;
}

using Steps = std::vector<std::vector<std::vector<i64>>>;

TEST(HeaviestSteps, AreTheLongestBatchBehindTheBeginning) {
  const std::vector<Example> rows = rows_of({1, 2, 9, 9, 3, 4, 5, 6, 2});
  const BatchSchedule schedule({.rows = 9, .batch_size = 2});
  EXPECT_EQ(heaviest_steps(schedule, 5, rows), (Steps{{{0, 1}}, {{2, 3}}, {{4, 5}}, {{2, 3}}}));
  // The run ends before the heavy batch comes.
  EXPECT_EQ(heaviest_steps(schedule, 1, rows), (Steps{{{0, 1}}}));
}

TEST(HeaviestSteps, StandBehindAnotherBatchWhereGradientsWouldBeThere) {
  const std::vector<Example> rows = rows_of({1, 2, 3, 9, 4, 8});
  const BatchSchedule schedule({.rows = 6, .batch_size = 1, .accumulation = 3});
  EXPECT_EQ(heaviest_steps(schedule, 2, rows), (Steps{{{0}, {1}}, {{3}, {4}}, {{3}}, {{0}, {5}}}));
}

TEST(HeaviestSteps, IncludeTheBatchWithTheMostTrainedTokens) {
  std::vector<Example> rows = rows_of({10, 8});
  std::ranges::fill(rows[0].labels, kIgnoreLabel);
  rows[0].labels[3] = 1;
  const BatchSchedule schedule({.rows = 2, .batch_size = 1});
  EXPECT_EQ(heaviest_steps(schedule, 2, rows), (Steps{{{0}}, {{1}}, {{0}}, {{1}}}));
}

TEST(HeaviestEvaluation, IsTheLongestBatchInFileOrder) {
  const std::vector<Example> rows = rows_of({5, 5, 1, 2, 9, 9, 9});
  EXPECT_EQ(heaviest_evaluation(rows, 2), 4);
  EXPECT_EQ(heaviest_evaluation(rows, 1), 4);
}

}  // namespace
}  // namespace inlay
