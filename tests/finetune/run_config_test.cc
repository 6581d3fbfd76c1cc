// SPDX-License-Identifier: Apache-2.0
#include "finetune/config/run_config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "core/config/help.h"
#include "core/config/json.h"
#include "core/config/schema.h"
#include "core/config/writer.h"
#include "core/error.h"
#include "finetune/config/check.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

using Overrides = std::vector<std::string>;

class RunConfigFile : public ::testing::Test {
 protected:
  RunConfigFile() {
    write("lora.json",
          R"({
            "model": {"model_name_or_path": "./model"},
            "peft": {"r": 4},
            "data": {"train": "train.jsonl"},  // JSONL
            "save": {"output_dir": "out"}
          })");
  }
  void write(const std::string& name, const std::string& text) const {
    std::ofstream(directory_.file(name)) << text;
  }
  RunConfig load(const Overrides& overrides = {}) const {
    return load_run_config(directory_.file("lora.json"), overrides);
  }
  std::string error_of(const Overrides& overrides) const {
    try {
      load(overrides);
    } catch (const ConfigError& error) {
      std::string message = error.what();
      const std::size_t at = message.find(directory_.path() + "/");
      return at == 0 ? message.substr(directory_.path().size() + 1) : message;
    }
    return "no error";
  }

  TempDirectory directory_;
};

TEST_F(RunConfigFile, LoadsWithPathsBesideTheFile) {
  const RunConfig config = load({"training.learning_rate=1e-3"});
  EXPECT_EQ(config.model.model_name_or_path, directory_.file("model"));
  EXPECT_EQ(config.data.train, directory_.file("train.jsonl"));
  EXPECT_EQ(config.save.output_dir, directory_.file("out"));
  EXPECT_EQ(config.peft->r, 4);
  EXPECT_EQ(config.training.learning_rate, 1e-3);
  EXPECT_FALSE(config.quantization.has_value());
}

TEST_F(RunConfigFile, NamesTheRunDirectoryAfterItselfWhenNoneIsGiven) {
  EXPECT_EQ(load({"save.output_dir=null"}).save.output_dir, directory_.file("runs/lora"));
}

TEST_F(RunConfigFile, ReadsItsOwnResolvedConfigBack) {
  const RunConfig config =
      load({"quantization={}", "runtime.threads=2", "peft.rank_pattern={\"q\":2}"});
  const std::string run_directory = directory_.file("out");
  std::filesystem::create_directory(run_directory);
  const std::string text = config_text(config, {.directory = run_directory});
  write("out/config.resolved.json", text);
  const RunConfig again = load_run_config(directory_.file("out/config.resolved.json"));
  EXPECT_EQ(config_text(again, {.directory = run_directory}), text);
  EXPECT_EQ(again.data.train, directory_.file("train.jsonl"));
}

TEST_F(RunConfigFile, RefusesWhatDoesNotGoTogether) {
  struct Case {
    Overrides overrides;
    const char* sentence;
  };
  const Case cases[] = {
      {{"model.config={\"model_type\": \"llama\"}"},
       "lora.json: /model: model_name_or_path and config exclude each other: set one to null"},
      {{"model.model_name_or_path=null"},
       "--set model.model_name_or_path=null: /model/model_name_or_path: this path to a model, or "
       "model.config for random weights, is needed"},
      {{"quantization.load_in_4bit=false"},
       "--set quantization.load_in_4bit=false: /quantization/load_in_4bit: false quantises "
       "nothing: "
       "set it to true, or quantization to null"},
      {{"quantization.bnb_4bit_blocksize=96"},
       "--set quantization.bnb_4bit_blocksize=96: /quantization/bnb_4bit_blocksize: expected a "
       "power of two from 32 to 4096, found 96"},
      {{"quantization={}", "peft=null"},
       "--set quantization={}: /quantization: 4-bit weights cannot be trained: add peft, or set "
       "quantization to null"},
      {{"peft=null", "training.compute_dtype=int8"},
       "--set training.compute_dtype=int8: /training/compute_dtype: \"int8\" is for frozen "
       "weights: "
       "add peft, or set it to \"bf16\""},
      {{"peft=null", "runtime.prepack_weights=always"},
       "--set runtime.prepack_weights=always: /runtime/prepack_weights: \"always\" is for frozen "
       "weights: add peft, or set it to \"never\""},
      {{"training.compute_dtype=int8", "runtime.prepack_weights=always"},
       "--set runtime.prepack_weights=always: /runtime/prepack_weights: \"always\" is for products "
       "in f32 and bf16, and compute_dtype is \"int8\""},
      {{"training.compute_dtype=int8", "quantization.bnb_4bit_compute_dtype=bf16"},
       "--set quantization.bnb_4bit_compute_dtype=bf16: /quantization/bnb_4bit_compute_dtype: "
       "\"bf16\" is not training.compute_dtype, \"int8\": set one of them to \"auto\""},
      {{"peft.layers_to_transform=[0]"},
       "--set peft.layers_to_transform=[0]: /peft/layers_to_transform: needs target_modules to be "
       "a "
       "list: a string says which layers by itself"},
      {{"data.train=null"}, "--set data.train=null: /data/train: a file to train on is needed"},
      {{"data.format=text", "data.completion_only_loss=true"},
       "--set data.completion_only_loss=true: /data/completion_only_loss: rows of format \"text\" "
       "have no completion"},
      {{"data.format=alpaca", "data.assistant_only_loss=true"},
       "--set data.assistant_only_loss=true: /data/assistant_only_loss: rows of format \"alpaca\" "
       "have no messages"},
      {{"model.model_name_or_path=null", "model.config={\"model_type\": \"llama\"}",
        "data.format=text"},
       "lora.json: /model/tokenizer: data.format \"text\" needs one, and model.config brings none: "
       "name one, or \"bytes\""},
      {{"eval.eval_steps=5"},
       "--set eval.eval_steps=5: /eval/eval_steps: 5 needs data.validation, a file to evaluate on"},
      {{"training.max_steps=0"},
       "--set training.max_steps=0: /training/max_steps: expected -1 (not set) or at least 1, "
       "found "
       "0"},
      {{"training.warmup_steps=3", "training.warmup_ratio=0.1"},
       "--set training.warmup_ratio=0.1: /training/warmup_ratio: warmup_steps and warmup_ratio "
       "exclude each other: set one to 0"},
  };
  for (const Case& c : cases) {
    EXPECT_EQ(error_of(c.overrides), c.sentence);
  }
}

TEST_F(RunConfigFile, AcceptsWhatGoesTogether) {
  const Overrides good[] = {
      {"quantization={\"load_in_4bit\": true, \"quant_method\": \"bitsandbytes\"}"},
      {"peft=null"},
      {"model.model_name_or_path=null", "model.config={\"model_type\": \"llama\"}",
       "model.tokenizer=bytes", "data.format=text"},
      {"model.model_name_or_path=null", "model.config={}", "data.format=tokens"},
      {"data.format=messages", "data.assistant_only_loss=true"},
      {"data.completion_only_loss=true"},
      {"eval.eval_steps=5", "data.validation=v.jsonl"},
      {"training.max_steps=10", "training.warmup_steps=3"},
      {"training.num_train_epochs=0.5", "training.warmup_ratio=0.03"},
      {"peft.target_modules=[\"q_proj\"]", "peft.layers_to_transform=[0]", "peft.layers_pattern=h"},
      {"$schema=\"https://example.org/run.schema.json\""},
      {"save.save_total_limit=null", "save.export=[\"peft\"]"},
      {"data.packing=false", "logging.html_report=false", "runtime.kernels=auto"},
  };
  for (const Overrides& overrides : good) {
    EXPECT_EQ(error_of(overrides), "no error") << overrides[0];
  }
}

TEST_F(RunConfigFile, RefusesValuesThatNoFieldTakes) {
  struct Case {
    const char* key;
    const char* value;
    std::string rest;
  };
  const FieldType formats = choice_type(ChoiceSlot::with_auto(choice_names<const RowFormat*>()));
  const Case cases[] = {
      {"model.dtype", "f16",
       R"(expected "auto", "f32" or "bf16", found "f16" (did you mean "bf16"?))"},
      {"model.attn_implementation", "flash", R"(expected "tiled" or "reference", found "flash")"},
      {"quantization.bnb_4bit_quant_type", "nf3",
       R"(expected "nf4" or "fp4", found "nf3" (did you mean "nf4"?))"},
      {"quantization.bnb_4bit_blocksize", "16", "expected an integer from 32 to 4096, found 16"},
      {"quantization.bnb_4bit_compute_dtype", "f16",
       R"(expected "auto", "f32" or "bf16", found "f16" (did you mean "bf16"?))"},
      {"quantization.load_in_8bit", "true",
       "expected false, found true: 8-bit weights are not supported"},
      {"data.format", "csv", str("expected ", describe(formats), R"(, found "csv")")},
      {"data.truncation", "drop", R"(expected "keep_start", "keep_end" or "error", found "drop")"},
      {"data.max_length", "1", "expected an integer from 2 to 1048576, found 1"},
      {"training.num_train_epochs", "0",
       "expected a number above 0 and of at most 1000000, found 0"},
      {"training.learning_rate", "-1", "expected a number from 0 to 10, found -1"},
      {"training.adam_beta1", "1", "expected a number of at least 0 and below 1, found 1"},
      {"training.optim", "adamw_bnb_8bit",
       R"(expected "adamw" or "adamw_8bit", found "adamw_bnb_8bit" (did you mean "adamw_8bit"?))"},
      {"training.optim", "sgd", R"(expected "adamw" or "adamw_8bit", found "sgd")"},
      {"training.lr_scheduler_type", "cosin",
       R"(expected "constant", "constant_with_warmup", "linear" or "cosine", found "cosin" )"
       R"((did you mean "cosine"?))"},
      {"training.compute_dtype", "int4",
       R"(expected "auto", "f32", "bf16" or "int8", found "int4" (did you mean "int8"?))"},
      {"training.gradient_checkpointing", "true",
       R"(expected "auto", "none", "selective" or "block", found true)"},
      {"training.gradient_checkpointing", "selectiv",
       R"(expected "auto", "none", "selective" or "block", found "selectiv" )"
       R"((did you mean "selective"?))"},
      {"training.gradient_checkpointing_layers", "3",
       R"(needs gradient_checkpointing "selective" or "block", found "auto")"},
      {"runtime.max_memory", "lots",
       R"(expected "auto", a number of bytes, or a size such as "6GB" or "900MiB", found "lots")"},
      {"runtime.max_memory", "-6GB",
       R"(expected "auto", a number of bytes, or a size such as "6GB" or "900MiB", found "-6GB")"},
      {"runtime.max_memory", "0", "expected an integer of at least 1 or a string, found 0"},
      {"runtime.prepack_weights", "true", R"(expected "never", "auto" or "always", found true)"},
      {"training.lr", "1", R"(unknown key (did you mean "learning_rate"?))"},
      {"save.export", "[\"gguf\"]",
       R"(expected ["peft"], found a list: an adapter is written in PEFT's form alone)"},
      {"save.export", "[]",
       R"(expected ["peft"], found an empty list: an adapter is written in PEFT's form alone)"},
      {"data.packing", "true",
       "expected false, found true: rows are not put together: a batch has no padding to save"},
      {"training.loraplus_lr_ratio", "16", "expected null, found 16: LoRA+ is not supported"},
      {"eval.early_stopping_patience", "2",
       "expected null, found 2: early stopping is not supported"},
      {"eval.sample_prompts", "[\"Hi\"]",
       "expected [], found a list: samples in the course of a training are not supported"},
      {"logging.tensorboard", "true",
       "expected false, found true: files for TensorBoard are not written"},
      {"logging.html_report", "true", "expected false, found true: an HTML report is not written"},
      {"runtime.kernels", "avx2",
       R"(expected "auto", found "avx2": the processor decides which instructions are used)"},
      {"runtime.distributed", "mpi",
       R"(expected null, found "mpi": a training on several machines is not supported)"},
      {"logging.logging_steps", "0", "expected an integer from 1 to 1000000000, found 0"},
      {"runtime.threads", "0", R"(expected "auto" or an integer from 1 to 1024, found 0)"},
      {"seed", "1", "unknown key here (it belongs in /training)"},
      {"lora_alpha", "1", "unknown key here (it belongs in /peft)"},
      {"trianing.seed", "1", R"(unknown key (did you mean "training"?))"},
  };
  for (const Case& c : cases) {
    const std::string assignment = str(c.key, "=", c.value);
    std::string pointer = "/" + std::string(c.key);
    std::replace(pointer.begin(), pointer.end(), '.', '/');
    if (pointer.starts_with("/trianing")) {
      pointer = "/trianing";
    }
    EXPECT_EQ(error_of({assignment}), str("--set ", assignment, ": ", pointer, ": ", c.rest));
  }
}

TEST(RunConfig, CheckSpeaksOfPathsWhenThereIsNoFile) {
  RunConfig config;
  config.data.train = "t.jsonl";
  try {
    check(config);
    FAIL() << "no model, no error";
  } catch (const ConfigError& error) {
    EXPECT_STREQ(error.what(),
                 "/model/model_name_or_path: this path to a model, or model.config for random "
                 "weights, is needed");
  }
  config.model.model_name_or_path = "m";
  EXPECT_NO_THROW(check(config));
}

TEST(RunConfig, HasHelpForEachField) {
  std::set<std::string> pointers;
  for (const FieldRow& row : field_rows<RunConfig>()) {
    EXPECT_FALSE(row.help.empty()) << row.pointer;
    EXPECT_TRUE(pointers.insert(row.pointer).second) << row.pointer << " is listed twice";
  }
  EXPECT_TRUE(pointers.contains("/peft/lora_alpha"));
}

TEST(RunConfig, DefaultsLieInTheirOwnRanges) {
  RunConfig config;
  config.quantization.emplace();
  config.peft.emplace();
  const ConfigDocument document =
      ConfigDocument::single(parse_ordered_json(config_text(config), "defaults"), {"d", ""});
  EXPECT_EQ(config_text(read_config<RunConfig>(document)), config_text(config));
}

}  // namespace
}  // namespace inlay
