// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <ostream>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/random.h"
#include "finetune/train_run.h"
#include "tests/support/training_run.h"

// Nothing here has a tolerance: a run is promised to repeat bit for bit.
namespace inlay {
namespace {

struct Kind {
  const char* name;
  OrderedJson (*config)();  // the sections model, peft, quantization
};

void PrintTo(const Kind& kind, std::ostream* out) {
  *out << kind.name;
}

OrderedJson llama() {
  return {{"config",
           {{"model_type", "llama"},
            {"vocab_size", 61},
            {"hidden_size", 24},
            {"intermediate_size", 40},
            {"num_hidden_layers", 2},
            {"num_attention_heads", 4},
            {"num_key_value_heads", 2},
            {"head_dim", 6},
            {"attention_dropout", 0.1},
            {"initializer_range", 0.2}}}};
}

OrderedJson gpt2() {
  return {{"config",
           {{"model_type", "gpt2"},
            {"vocab_size", 61},
            {"n_embd", 20},
            {"n_layer", 2},
            {"n_head", 2},
            {"n_positions", 40},
            {"initializer_range", 0.2}}}};  // and Transformers' dropout of 0.1 in three places
}

OrderedJson lora_json() {
  return {{"r", 4}, {"lora_dropout", 0.2}, {"target_modules", "all-linear"}};
}

OrderedJson full_training() {
  return {{"model", gpt2()}};
}

// Wide enough that most of its matrices take 8-bit moments, from 4096 values on.
OrderedJson full_training_8bit() {
  OrderedJson model = gpt2();
  model["config"]["n_embd"] = 40;
  return {{"model", model}, {"training", {{"optim", "adamw_8bit"}}}};
}

OrderedJson lora_run() {
  return {{"model", llama()}, {"peft", lora_json()}};
}

OrderedJson dora_run() {
  OrderedJson peft = lora_json();
  peft["use_dora"] = true;
  peft["modules_to_save"] = OrderedJson::array({"ln_f"});
  return {{"model", gpt2()}, {"peft", peft}, {"training", {{"gradient_checkpointing", "block"}}}};
}

OrderedJson qlora_run() {
  return {{"model", llama()}, {"peft", lora_json()}, {"quantization", {{"load_in_4bit", true}}}};
}

constexpr i64 kSteps = 7;

class Determinism : public ::testing::TestWithParam<Kind> {
 protected:
  Determinism() {
    write_rows("train.jsonl", 18);
    write_rows("validation.jsonl", 5);
  }

  // Rows of 5 to 24 tokens, some of them not learnt.
  void write_rows(const std::string& name, i64 count) const {
    const RandomKey key = RandomKey(5).with(name);
    std::vector<OrderedJson> rows;
    for (i64 r = 0; r < count; ++r) {
      const RandomKey own = key.with(static_cast<u64>(r));
      std::vector<i64> ids;
      std::vector<i64> labels;
      for (u64 t = 0; t < 5 + random_below(own, 1000, 20); ++t) {
        ids.push_back(static_cast<i64>(random_below(own, t, 61)));
        labels.push_back(t % 3 == 1 ? -100 : ids.back());
      }
      rows.push_back({{"input_ids", ids}, {"labels", labels}});
    }
    write_lines(temp_.file(name), rows);
  }

  OrderedJson config(const std::string& output, i64 threads = 1) const {
    OrderedJson json = GetParam().config();
    json["data"] = {{"train", temp_.file("train.jsonl")},
                    {"validation", temp_.file("validation.jsonl")},
                    {"format", "tokens"},
                    {"shuffle", true}};
    json["training"]["max_steps"] = kSteps;  // 18 rows make 5 steps an epoch, the last one short
    json["training"]["per_device_train_batch_size"] = 2;
    json["training"]["gradient_accumulation_steps"] = 2;
    json["training"]["learning_rate"] = 0.01;
    json["training"]["warmup_steps"] = 2;
    json["training"]["weight_decay"] = 0.1;
    json["eval"] = {{"eval_steps", 3}};
    json["logging"] = {{"logging_steps", 2}};
    json["save"] = {{"output_dir", temp_.file(output)}, {"save_total_limit", nullptr}};
    json["runtime"] = {{"threads", threads}};
    return json;
  }

  RunResult train(const OrderedJson& json, const TrainOptions& options = {},
                  i64 stop_after = 0) const {
    RecordingListener listener(stop_after);
    return run_training(read_run_config(temp_, json), options, listener);
  }

  // Every number and every byte that a run leaves behind.
  void expect_same_run(const std::string& a, const std::string& b) const {
    EXPECT_EQ(metrics_of(temp_.file(a)), metrics_of(temp_.file(b)));
    EXPECT_EQ(read_text(temp_.file(a + "/" + weights())),
              read_text(temp_.file(b + "/" + weights())));
    EXPECT_EQ(loss_digest(a), loss_digest(b));
  }

  OrderedJson loss_digest(const std::string& run) const {
    const OrderedJson manifest = OrderedJson::parse(read_text(temp_.file(run + "/manifest.json")));
    return manifest.at("loss_digest");
  }

  std::string weights() const {
    return GetParam().config().contains("peft") ? "adapter/adapter_model.safetensors"
                                                : "model/model.safetensors";
  }

  TempDirectory temp_;
};

TEST_P(Determinism, TheSameRunTwiceHasTheSameBits) {
  train(config("a"));
  train(config("b"));
  expect_same_run("a", "b");
}

TEST_P(Determinism, AnyNumberOfThreadsGivesTheSameBits) {
  train(config("one", 1));
  for (const i64 threads : {2, 3}) {
    const std::string name = "threads" + std::to_string(threads);
    train(config(name, threads));
    expect_same_run("one", name);
  }
}

TEST_P(Determinism, AnotherSeedGivesAnotherRun) {
  train(config("a"));
  OrderedJson json = config("b");
  json["training"]["seed"] = 43;
  train(json);
  EXPECT_NE(metrics_of(temp_.file("a")), metrics_of(temp_.file("b")));
  EXPECT_NE(loss_digest("a"), loss_digest("b"));
}

TEST_P(Determinism, ARunStoppedAtAnyStepGoesOnWithTheSameBits) {
  train(config("whole"));
  for (const i64 stop : {1, 3, 5, 6}) {  // within a window of the log, within and at an epoch's end
    const std::string name = "stopped" + std::to_string(stop);
    const RunResult first = train(config(name), {}, stop);
    EXPECT_FALSE(first.finished);
    EXPECT_EQ(first.steps, stop);
    EXPECT_EQ(first.output, "");
    TrainOptions options;
    options.resume = "last";
    // More threads than before, which is allowed to differ.
    const RunResult second = train(config(name, 2), options);
    EXPECT_TRUE(second.finished);
    EXPECT_EQ(second.steps, kSteps);
    expect_same_run("whole", name);
  }
}

TEST_P(Determinism, ARunGoesOnFromAnyOfItsCheckpointsWithTheSameBits) {
  train(config("whole"));
  OrderedJson json = config("saved");
  json["save"]["save_steps"] = 2;
  train(json);
  expect_same_run("whole", "saved");
  for (const char* name : {"step-4", "step-2"}) {
    TrainOptions options;
    options.resume = name;
    train(json, options);
    expect_same_run("whole", "saved");
  }
}

INSTANTIATE_TEST_SUITE_P(, Determinism,
                         ::testing::Values(Kind{"FullTraining", full_training},
                                           Kind{"FullTrainingIn8Bit", full_training_8bit},
                                           Kind{"Lora", lora_run}, Kind{"Dora", dora_run},
                                           Kind{"Qlora", qlora_run}),
                         [](const auto& instance) { return std::string(instance.param.name); });

}  // namespace
}  // namespace inlay
