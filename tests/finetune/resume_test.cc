// SPDX-License-Identifier: Apache-2.0
#include "finetune/resume.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"
#include "finetune/checkpoint_files.h"
#include "finetune/train_run.h"
#include "tests/support/error_text.h"
#include "tests/support/training_run.h"

namespace inlay {
namespace {

class Resume : public ::testing::Test {
 protected:
  Resume() {
    write_lines(temp_.file("train.jsonl"), {{{"input_ids", {1, 2, 3, 4, 5}}},
                                            {{"input_ids", {6, 7, 8}}},
                                            {{"input_ids", {9, 10, 11, 12}}}});
  }

  OrderedJson config() const {
    return {{"model",
             {{"config",
               {{"model_type", "llama"},
                {"vocab_size", 31},
                {"hidden_size", 8},
                {"intermediate_size", 12},
                {"num_hidden_layers", 1},
                {"num_attention_heads", 2}}}}},
            {"peft", {{"r", 2}}},
            {"data", {{"train", temp_.file("train.jsonl")}}},
            {"training", {{"max_steps", 4}, {"learning_rate", 0.01}}},
            {"save", {{"output_dir", temp_.file("run")}, {"save_steps", 2}}},
            {"runtime", {{"threads", 1}}}};
  }

  void train(const OrderedJson& json, const TrainOptions& options, i64 stop_after = 0) const {
    RecordingListener listener(stop_after);
    run_training(read_run_config(temp_, json), options, listener);
  }
  void train_to_step_2() const { train(config(), {}, 2); }

  static TrainOptions resume(const std::string& which = "last") {
    TrainOptions options;
    options.resume = which;
    return options;
  }

  template <class E>
  std::string error_of(const OrderedJson& json, const TrainOptions& options) const {
    return error_text<E>([&] { train(json, options); });
  }

  std::string checkpoint(const std::string& name = "") const {
    return temp_.file("run/checkpoints/step-2") + (name.empty() ? "" : "/" + name);
  }

  TempDirectory temp_;
};

TEST_F(Resume, RefusesASettingThatChangesTheNumbers) {
  train_to_step_2();
  const std::string file = temp_.file("run/config.resolved.json");
  const struct {
    const char* section;
    const char* key;
    OrderedJson value;
    std::string sentence;
  } cases[] = {
      {"training", "learning_rate", 0.02,
       "/training/learning_rate: the run was started with 0.01, and now it is 0.02"},
      {"training", "seed", 7, "/training/seed: the run was started with 42, and now it is 7"},
      {"training", "max_steps", 5,
       "/training/max_steps: the run was started with 4, and now it is 5"},
      {"peft", "lora_alpha", 4,
       "/peft/lora_alpha: the run was started with 16.0, and now it is 4.0"},
      {"data", "shuffle", false,
       "/data/shuffle: the run was started with true, and now it is false"},
      {"model", "attn_implementation", "reference",
       "/model/attn_implementation: the run was started with \"tiled\", and now it is "
       "\"reference\""},
  };
  for (const auto& c : cases) {
    OrderedJson json = config();
    json[c.section][c.key] = c.value;
    EXPECT_EQ(error_of<ConfigError>(json, resume()),
              file + ": " + c.sentence + "; a resumed run must keep its settings");
  }
  OrderedJson whole = config();
  whole.erase("peft");
  EXPECT_NE(error_of<ConfigError>(whole, resume()).find("/peft: the run was started with {"),
            std::string::npos);
  train(config(), resume());  // and nothing of all that has hurt the run
}

TEST_F(Resume, RefusesDataThatHasChanged) {
  const std::string rows = temp_.file("train.jsonl");
  const std::string held_out = temp_.file("validation.jsonl");
  write_lines(held_out, {{{"input_ids", {3, 1, 4}}}});
  OrderedJson json = config();
  json["data"]["validation"] = held_out;
  train(json, {}, 2);
  for (const std::string& file : {rows, held_out}) {
    const std::string content = read_text(file);
    std::string changed = content;
    changed[changed.find('3')] = '2';  // as many rows of as many tokens
    write_file(file, changed);
    EXPECT_EQ(error_of<DataError>(json, resume()),
              file +
                  ": the file has changed since the run began (its SHA-256 is another); a resumed "
                  "run must keep its data");
    write_file(file, content);
  }
  train(json, resume());
}

TEST_F(Resume, LetsWhatTouchesNoNumberDiffer) {
  train_to_step_2();
  OrderedJson json = config();
  json["runtime"]["threads"] = 2;
  json["logging"]["logging_steps"] = 3;
  json["save"]["save_steps"] = 1;
  json["save"]["save_total_limit"] = 5;
  train(json, resume());
  EXPECT_TRUE(is_file(temp_.file("run/manifest.json")));
}

TEST_F(Resume, SaysWhenThereIsNothingToResume) {
  EXPECT_EQ(error_of<ConfigError>(config(), resume()),
            temp_.file("run") + ": there is no run to resume");
  OrderedJson json = config();
  json["save"]["save_steps"] = 0;
  train(json, {});
  EXPECT_EQ(error_of<ConfigError>(json, resume()),
            temp_.file("run") + ": this run has no checkpoint to resume from");
  EXPECT_EQ(error_of<ConfigError>(json, resume("step-9")),
            "--resume step-9: there is no such checkpoint in " + temp_.file("run/checkpoints"));
  train(config(), {.overwrite = true});
  EXPECT_EQ(error_of<ConfigError>(config(), resume("step-9")),
            "--resume step-9: there is no such checkpoint in " + temp_.file("run/checkpoints") +
                "; there are: step-2, step-4");
}

TEST_F(Resume, NeedsTheSettingsOfTheRun) {
  train_to_step_2();
  file_system().remove(temp_.file("run/config.resolved.json"));
  EXPECT_EQ(error_of<ConfigError>(config(), resume()),
            temp_.file("run") + ": there is no run to resume (it has no config.resolved.json)");
}

TEST_F(Resume, IsNeverDoneUnasked) {
  train_to_step_2();
  EXPECT_EQ(error_of<ConfigError>(config(), {}),
            temp_.file("run") +
                ": the output directory is not empty (--resume goes on with the run there, "
                "--overwrite replaces it)");
  TrainOptions both = resume();
  both.overwrite = true;
  EXPECT_EQ(error_of<ConfigError>(config(), both), "--resume and --overwrite exclude each other");
}

TEST_F(Resume, OverwritingRemovesTheRunBeforeButNoOtherFile) {
  train_to_step_2();
  write_file(temp_.file("run/notes.txt"), std::string_view("mine"));
  TrainOptions options;
  options.overwrite = true;
  OrderedJson json = config();
  json["save"]["save_steps"] = 0;
  train(json, options);
  EXPECT_EQ(metrics_of(temp_.file("run")).size(), 4U);
  EXPECT_FALSE(is_directory(checkpoint()));
  EXPECT_EQ(read_text(temp_.file("run/notes.txt")), "mine");
}

TEST_F(Resume, FindsEveryDamagedFileOfACheckpoint) {
  train_to_step_2();
  for (const std::string& name : file_system().list(checkpoint())) {
    if (name == "trainer_state.json") {
      continue;
    }
    const std::string path = checkpoint(name);
    const std::string content = read_text(path);
    std::string damaged = content;
    damaged[damaged.size() / 2] ^= 1;  // of the same size, so only the checksum tells
    for (const std::string& other : {damaged, content + "\n"}) {
      write_file(path, other);
      EXPECT_EQ(error_of<DataError>(config(), resume()),
                path +
                    ": the file is damaged: it is not what the checkpoint's "
                    "trainer_state.json says");
    }
    file_system().remove(path);
    EXPECT_EQ(error_of<DataError>(config(), resume()), path + ": the checkpoint lacks this file");
    write_file(path, content);
  }
  train(config(), resume());
}

// A state as versions without its checksum wrote it.
OrderedJson unsealed(const std::string& text) {
  OrderedJson state = OrderedJson::parse(text);
  state.erase("checksum");
  state.erase("sources");
  return state;
}

TEST_F(Resume, ReadsTheStateOfACheckpointWithCare) {
  train_to_step_2();
  const std::string path = checkpoint("trainer_state.json");
  const OrderedJson state = unsealed(read_text(path));
  const auto error_with = [&](const OrderedJson& json) {
    write_file(path, json.dump());
    return error_of<DataError>(config(), resume());
  };
  for (const char* key :
       {"step", "tokens", "window_loss_bits", "window_trained", "data", "files"}) {
    OrderedJson json = state;
    json.erase(key);
    EXPECT_EQ(error_with(json), path + ": not the state of a training run") << key;
    if (key != std::string("files")) {
      json[key] = nullptr;
      EXPECT_EQ(error_with(json), path + ": not the state of a training run") << key;
    }
  }
  OrderedJson json = state;
  for (const auto& [name, facts] : state["files"].items()) {
    json = state;
    json["files"].erase(name);
    EXPECT_EQ(error_with(json), checkpoint(name) +
                                    ": the checkpoint's trainer_state.json does not list this "
                                    "file");
  }
  for (const OrderedJson& none : {OrderedJson::object(), OrderedJson()}) {
    json["files"] = none;
    EXPECT_EQ(error_with(json), checkpoint("adapter_config.json") +
                                    ": the checkpoint's trainer_state.json does not list this "
                                    "file");
  }
  json = state;
  json["window_loss_bits"] = "much";
  EXPECT_EQ(error_with(json), path + ": /window_loss_bits: expected a number");
  json["window_loss_bits"] = "9218868437227405312";  // of infinity
  EXPECT_EQ(error_with(json), path + ": /window_loss_bits: expected the bits of a finite number");
  const struct {
    const char* key;
    i64 value;
    const char* sentence;
  } counts[] = {
      {"step", 3, ": /step: expected 2, as the folder's name says, found 3"},
      {"step", 80'000'000'000, ": /step: expected 2, as the folder's name says, found 80000000000"},
      {"step", 0, ": /step: expected at least 1, found 0"},
      {"step", -8, ": /step: expected at least 1, found -8"},
      {"tokens", -1, ": /tokens: expected at least 0, found -1"},
      {"window_trained", -1, ": /window_trained: expected at least 0, found -1"},
  };
  for (const auto& c : counts) {
    json = state;
    json[c.key] = c.value;
    EXPECT_EQ(error_with(json), path + c.sentence);
  }
  json = state;
  json["files"]["../../../secret"] = json["files"].begin().value();
  EXPECT_EQ(error_with(json), checkpoint("../../../secret") + ": the checkpoint lacks this file");
  EXPECT_EQ(error_with(OrderedJson::array()), path + ": not the state of a training run");
  // A step behind the end of the run, in a folder named after it.
  json = state;
  json["step"] = 9;
  write_file(path, json.dump());
  file_system().rename(checkpoint(), temp_.file("run/checkpoints/step-9"));
  EXPECT_EQ(error_of<DataError>(config(), resume("step-9")),
            temp_.file("run/checkpoints/step-9") + ": a checkpoint of step 9, and the run has 4");
  file_system().rename(temp_.file("run/checkpoints/step-9"), checkpoint());
  file_system().remove(path);
  EXPECT_EQ(error_of<DataError>(config(), resume()),
            checkpoint() + ": not a checkpoint: it has no trainer_state.json");
}

TEST_F(Resume, TakesAStateWithoutChecksumAndSaysSo) {
  train_to_step_2();
  const std::string path = checkpoint("trainer_state.json");
  write_file(path, unsealed(read_text(path)).dump(2) + "\n");
  RecordingListener listener;
  run_training(read_run_config(temp_, config()), resume(), listener);
  ASSERT_EQ(listener.notices.size(), 1U);
  EXPECT_TRUE(listener.notices[0].starts_with(checkpoint() + ": written by an older version"));
}

TEST_F(Resume, FindsEveryChangedByteOfAState) {
  train_to_step_2();
  const std::string path = checkpoint("trainer_state.json");
  const std::string content = read_text(path);
  for (std::size_t at = 0; at < content.size(); ++at) {
    for (const int bit : {0, 4}) {
      std::string damaged = content;
      damaged[at] = static_cast<char>(damaged[at] ^ (1 << bit));
      write_file(path, damaged);
      EXPECT_THROW(read_checkpoint(checkpoint()), DataError) << at;
    }
  }
  for (const std::string& other :
       {content + " ", content.substr(0, content.size() - 1), content + content, std::string()}) {
    write_file(path, other);
    EXPECT_THROW(read_checkpoint(checkpoint()), DataError);
  }
  write_file(path, content);
  train(config(), resume());
}

TEST_F(Resume, OffersTheNewestSoundCheckpointByName) {
  OrderedJson json = config();
  json["save"]["save_steps"] = 1;
  json["save"]["save_total_limit"] = nullptr;
  train(json, {});
  const std::string result = read_text(temp_.file("run/adapter/adapter_model.safetensors"));
  const std::string folder = temp_.file("run/checkpoints/");
  const auto spoil = [&](const std::string& file) {
    const std::string content = read_text(folder + file);
    write_file(folder + file, content.substr(1));
    return content;
  };
  const std::string four = spoil("step-4/optimizer.safetensors");
  const auto expect_end = [&](const std::string& which, const std::string& end) {
    const std::string sentence = error_of<DataError>(json, resume(which));
    EXPECT_TRUE(sentence.ends_with(end)) << sentence;
  };
  expect_end("last", "; the newest sound checkpoint is step-3 (--resume step-3)");
  const std::string two = spoil("step-2/trainer_state.json");
  expect_end("step-2",
             "; the newest sound checkpoint before it is step-1 (--resume step-1), and after it "
             "step-3 (--resume step-3)");
  file_system().remove(folder + "step-3/adapter_config.json");
  expect_end("last", "; the newest sound checkpoint is step-1 (--resume step-1)");
  for (const char* names : {"", "step-", "step-04", "../step-4", "4", "step-4 step-4"}) {
    write_file(folder + "last", std::string_view(names));
    expect_end("last",
               "bytes that are none; the newest sound checkpoint is step-1 (--resume step-1)");
  }
  write_file(folder + "last", std::string(1000, 's'));
  expect_end("last",
             "found 1000 bytes that are none; the newest sound checkpoint is step-1 "
             "(--resume step-1)");
  write_file(folder + "last", std::string_view("step-9"));
  expect_end("last",
             "last: names step-9, and there is no such checkpoint; the newest sound "
             "checkpoint is step-1 (--resume step-1)");
  file_system().remove(folder + "last");
  expect_end("last",
             "last: there is no such file, which names the last checkpoint; the newest sound "
             "checkpoint is step-1 (--resume step-1)");
  make_directories(folder + "step-8");
  expect_end("step-8",
             "step-8: not a checkpoint: it has no trainer_state.json; the newest sound "
             "checkpoint is step-1 (--resume step-1)");
  // And what is offered leads to the same end.
  train(json, resume("step-1"));
  EXPECT_EQ(read_text(temp_.file("run/adapter/adapter_model.safetensors")), result);
}

TEST_F(Resume, RefusesACheckpointOfARunWithOtherSettings) {
  train_to_step_2();
  OrderedJson other = config();
  other["training"]["learning_rate"] = 0.02;
  other["save"]["output_dir"] = temp_.file("other");
  train(other, {}, 2);
  EXPECT_EQ(error_of<ConfigError>(config(), resume(temp_.file("other/checkpoints/step-2"))),
            temp_.file("other/config.resolved.json") +
                ": /training/learning_rate: the run was started with 0.02, and now it is 0.01; a "
                "resumed run must keep its settings");
}

TEST_F(Resume, FindsACheckpointHoweverItIsSpelt) {
  train(config(), {});
  const std::string result = read_text(temp_.file("run/adapter/adapter_model.safetensors"));
  for (const std::string& which :
       {std::string("step-2"), std::string("step-2/"), checkpoint(), checkpoint() + "/",
        temp_.file("run/../run/checkpoints/step-2"), std::string("last"), temp_.file("run"),
        temp_.file("run/checkpoints"), temp_.file("run/checkpoints/last")}) {
    train(config(), resume(which));
    EXPECT_EQ(read_text(temp_.file("run/adapter/adapter_model.safetensors")), result) << which;
  }
}

TEST_F(Resume, KeepsAsManyCheckpointsAsAskedFor) {
  OrderedJson json = config();
  json["save"]["save_steps"] = 1;
  json["save"]["save_total_limit"] = 2;
  train(json, {});
  std::vector<std::string> names = file_system().list(temp_.file("run/checkpoints"));
  EXPECT_EQ(names, (std::vector<std::string>{"last", "step-3", "step-4"}));
  EXPECT_EQ(read_text(temp_.file("run/checkpoints/last")), "step-4\n");
}

// A checkpoint is an adapter folder too: PEFT loads it, and so does another run.
TEST_F(Resume, ACheckpointIsAnAdapterToStartFrom) {
  train_to_step_2();
  OrderedJson json = config();
  json["peft"]["init_from"] = checkpoint();
  json["training"]["learning_rate"] = 0.0;
  json["save"]["output_dir"] = temp_.file("next");
  train(json, {});
  EXPECT_EQ(read_text(temp_.file("next/adapter/adapter_model.safetensors")),
            read_text(checkpoint("adapter_model.safetensors")));
}

// The same numbers under another factor would be another update.
TEST_F(Resume, AnAdapterToStartFromKeepsItsFactor) {
  train_to_step_2();
  const struct {
    const char* key;
    OrderedJson value;
  } cases[] = {{"lora_alpha", 4}, {"use_rslora", true}, {"alpha_pattern", {{"q_proj", 8}}}};
  for (const auto& c : cases) {
    OrderedJson json = config();
    json["peft"]["init_from"] = checkpoint();
    json["peft"][c.key] = c.value;
    json["save"]["output_dir"] = temp_.file("next");
    EXPECT_EQ(error_of<ConfigError>(json, {}),
              str("/peft/", c.key, ": is not as in the adapter to start from (", checkpoint(),
                  "), whose update was trained for that factor; give the run the adapter's own"));
    EXPECT_FALSE(exists(temp_.file("next")));
  }
}

// A run of an older version decayed every parameter, and must not go on otherwise without a word.
TEST_F(Resume, TellsOfTheRuleOfWeightDecayThatWasNotWrittenDown) {
  OrderedJson json = config();
  json["training"]["weight_decay"] = 0.1;
  train(json, {}, 2);
  const std::string file = temp_.file("run/config.resolved.json");
  OrderedJson written = OrderedJson::parse(read_text(file));
  written["training"].erase("weight_decay_on");
  write_file(file, written.dump());
  EXPECT_EQ(error_of<ConfigError>(json, resume()),
            file +
                ": /training/weight_decay_on: the run was started with \"all\", and now it is "
                "\"weights\"; a resumed run must keep its settings");
  written["training"]["weight_decay"] = 0.0;  // where nothing decays, the rule is no matter
  write_file(file, written.dump());
  json["training"]["weight_decay"] = 0.0;
  train(json, resume());
}

// What was faster when the run began is what it goes on with, whatever this processor would choose.
TEST_F(Resume, KeepsTheArithmeticThatAutoMeant) {
  for (const char* compute : {"f32", "bf16"}) {
    for (const char* products : {"native", "f32"}) {
      OrderedJson json = config();
      json["training"]["compute_dtype"] = compute;
      json["training"]["bf16_products"] = products;
      TrainOptions fresh;
      fresh.overwrite = true;
      train(json, fresh, 2);
      json["training"].erase("compute_dtype");
      json["training"].erase("bf16_products");
      train(json, resume());
      const OrderedJson resolved =
          OrderedJson::parse(read_text(temp_.file("run/config.resolved.json")))["training"];
      EXPECT_EQ(resolved["compute_dtype"], compute);
      EXPECT_EQ(resolved["bf16_products"], products);
      EXPECT_EQ(resolved["activation_dtype"], compute);
    }
  }
}

// Its resolved config has no word for what multiplied bf16: the processor's instruction did.
TEST_F(Resume, GoesOnWithARunThatHadNoChoiceOfBf16Products) {
  const std::string file = temp_.file("run/config.resolved.json");
  for (const char* compute : {"f32", "bf16"}) {
    OrderedJson json = config();
    json["training"]["compute_dtype"] = compute;
    TrainOptions fresh;
    fresh.overwrite = true;
    train(json, fresh, 2);
    OrderedJson older = OrderedJson::parse(read_text(file));
    older["training"].erase("bf16_products");
    write_file(file, older.dump());
    train(json, resume());
    EXPECT_EQ(OrderedJson::parse(read_text(file))["training"]["bf16_products"],
              std::string(compute) == "f32" ? "auto" : "native");
  }
}

}  // namespace
}  // namespace inlay
