// SPDX-License-Identifier: Apache-2.0

// Signals at the command, from outside and from files that are cut under it: every one ends in a
// sentence and an exit code, and leaves no temporary file.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <functional>
#include <thread>

#include "tests/apps/workshop.h"

namespace inlay {
namespace {

namespace fs = std::filesystem;

/// Waits until `holds` or the child has ended.
void wait_until(ChildProcess& child, const std::function<bool()>& holds) {
  while (!child.has_ended() && !holds()) {
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

/// Hidden names of unfinished files and folders, anywhere below.
std::vector<std::string> temporaries(const Workshop& workshop) {
  std::vector<std::string> names;
  for (const auto& entry : fs::recursive_directory_iterator(workshop.path(""))) {
    if (entry.path().filename().string().find(".inlay-") != std::string::npos) {
      names.push_back(entry.path().string());
    }
  }
  return names;
}

/// A run that ends only by force, with a checkpoint every ten steps.
std::string endless_run() {
  return run_json({{"/training/max_steps", 10'000'000},
                   {"/save/save_steps", 10},
                   {"/save/save_total_limit", 1}});
}

struct SignalCase {
  int number;
  const char* name;
};
std::string name_of(const ::testing::TestParamInfo<SignalCase>& info) {
  return info.param.name;
}

class AnEndingSignal : public ::testing::TestWithParam<SignalCase> {};

TEST_P(AnEndingSignal, MakesATrainingSaveAndStop) {
  const Workshop workshop;
  workshop.write("run.json", run_json({{"/training/max_steps", 10'000'000}}));
  ChildProcess child(workshop.path(""), {"train", "run.json"});
  wait_until(child, [&] { return child.errors_so_far().find("\nstep ") != std::string::npos; });
  child.send(GetParam().number);
  const Finished stopped = child.wait();
  EXPECT_EQ(stopped.exit_code, 128 + GetParam().number) << stopped.err;
  EXPECT_NE(stopped.err.find(std::string("stopped by ") + GetParam().name + " after step "),
            std::string::npos)
      << stopped.err;
  EXPECT_TRUE(fs::exists(workshop.path("out/checkpoints/last")));
  EXPECT_TRUE(temporaries(workshop).empty());
}

// A config that never ends keeps the command at work.
TEST_P(AnEndingSignal, EndsOtherCommandsWithASentence) {
  const Workshop workshop;
  ASSERT_EQ(::mkfifo(workshop.path("pipe").c_str(), 0600), 0);
  ChildProcess child(workshop.path(""), {"config", "show", "pipe"});
  std::ofstream writer(workshop.path("pipe"));  // opened once the command reads: it has started
  child.send(GetParam().number);
  const Finished stopped = child.wait();
  EXPECT_EQ(stopped.exit_code, 128 + GetParam().number);
  EXPECT_EQ(stopped.err, std::string("inlay: stopped by ") + GetParam().name + "\n");
}

TEST_P(AnEndingSignal, TakesUnfinishedFilesAlong) {
  const Workshop workshop;
  ChildProcess child(workshop.path(""),
                     words("merge --model model --adapter adapter --out merged"));
  wait_until(child, [&] { return !temporaries(workshop).empty(); });
  child.send(GetParam().number);
  const Finished stopped = child.wait();
  // A merge of this size may be done before the signal comes.
  EXPECT_TRUE(stopped.exit_code == 128 + GetParam().number || stopped.exit_code == 0)
      << stopped.exit_code << stopped.err;
  EXPECT_TRUE(temporaries(workshop).empty());
  EXPECT_EQ(fs::exists(workshop.path("merged/model.safetensors")), stopped.exit_code == 0);
}

INSTANTIATE_TEST_SUITE_P(
    Signals, AnEndingSignal,
    ::testing::Values(SignalCase{SIGHUP, "SIGHUP"}, SignalCase{SIGINT, "SIGINT"},
                      SignalCase{SIGTERM, "SIGTERM"}, SignalCase{SIGUSR1, "SIGUSR1"},
                      SignalCase{SIGUSR2, "SIGUSR2"}, SignalCase{SIGXCPU, "SIGXCPU"}),
    name_of);

TEST(Signals, OneThatIsIgnoredAtTheStartStaysIgnored) {
  const Workshop workshop;
  workshop.write("run.json", run_json({{"/training/max_steps", 500}}));
  ChildProcess child(workshop.path(""), {"train", "run.json"}, "",
                     [] { ::signal(SIGHUP, SIG_IGN); });  // as nohup does
  wait_until(child, [&] { return child.errors_so_far().find("\nstep ") != std::string::npos; });
  child.send(SIGHUP);
  const Finished finished = child.wait();
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_TRUE(fs::exists(workshop.path("out/manifest.json")));
}

// The terminal and the shell may both send it, while the first one's checkpoint is being written.
TEST(Signals, ASecondHangupDoesNotCutTheSavingShort) {
  const Workshop workshop;
  workshop.write("run.json", endless_run());
  ChildProcess child(workshop.path(""), {"train", "run.json"});
  wait_until(child, [&] { return child.errors_so_far().find("\nstep ") != std::string::npos; });
  for (int i = 0; i < 5; ++i) {
    child.send(SIGHUP);
    std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
  const Finished stopped = child.wait();
  EXPECT_EQ(stopped.exit_code, 128 + SIGHUP) << stopped.err;
  EXPECT_NE(stopped.err.find("stopped by SIGHUP after step"), std::string::npos) << stopped.err;
}

TEST(Signals, QuitEndsATrainingAtOnceAndLeavesTheLastCheckpoint) {
  const Workshop workshop;
  workshop.write("run.json", endless_run());
  for (int round = 0; round < 6; ++round) {
    fs::remove_all(workshop.path("out"));
    ChildProcess child(workshop.path(""), words("train run.json"));
    wait_until(child, [&] { return fs::exists(workshop.path("out/checkpoints/last")); });
    std::this_thread::sleep_for(std::chrono::milliseconds(round));
    child.send(SIGQUIT);
    const Finished stopped = child.wait();
    EXPECT_EQ(stopped.exit_code, 128 + SIGQUIT);
    EXPECT_TRUE(stopped.err.ends_with("inlay: stopped by SIGQUIT\n")) << stopped.err;
    EXPECT_TRUE(temporaries(workshop).empty());
    EXPECT_EQ(workshop.run("train run.json --resume --dry-run").exit_code, 0);
  }
}

TEST(Signals, ALimitOnProcessorTimeSavesATraining) {
  const Workshop workshop;
  workshop.write("run.json", run_json({{"/training/max_steps", 10'000'000}}));
  const Finished stopped = run_inlay(workshop.path(""), {"train", "run.json"}, "", [] {
    const struct rlimit seconds = {1, RLIM_INFINITY};
    ::setrlimit(RLIMIT_CPU, &seconds);
  });
  EXPECT_EQ(stopped.exit_code, 128 + SIGXCPU) << stopped.err;
  EXPECT_TRUE(fs::exists(workshop.path("out/checkpoints/last")));
}

// ---- Files that change under their reader.

/// A model large enough that commands are still at work when the test has changed its file, and an
/// adapter for it.
void make_large_model(const Workshop& workshop) {
  const nlohmann::json config = {{"model_type", "llama"},    {"vocab_size", 256},
                                 {"hidden_size", 256},       {"intermediate_size", 1024},
                                 {"num_hidden_layers", 8},   {"num_attention_heads", 4},
                                 {"num_key_value_heads", 4}, {"max_position_embeddings", 4096}};
  workshop.write("make.json", run_json({{"/model", {{"config", config}, {"tokenizer", "bytes"}}},
                                        {"/peft", nullptr}}));
  ASSERT_EQ(workshop.run("train make.json --set save.output_dir=full").exit_code, 0);
  fs::rename(workshop.path("full/model"), workshop.path("large"));
  workshop.write("make.json", run_json({{"/model/model_name_or_path", "large"}}));
  ASSERT_EQ(workshop.run("train make.json --set save.output_dir=lora").exit_code, 0);
}

// Whether a page behind the cut is touched again depends on what the system keeps, so the end is
// one of two sentences, both of which name the file.
void expect_named(const Finished& finished, const std::string& file) {
  EXPECT_EQ(finished.exit_code, 4) << finished.err;
  const std::size_t last = finished.err.rfind("inlay: ");
  ASSERT_NE(last, std::string::npos) << finished.err;
  EXPECT_NE(finished.err.find(file, last), std::string::npos) << finished.err;
  EXPECT_NE(finished.err.find(" while it was in use", last), std::string::npos) << finished.err;
}

struct ModelChange {
  const char* name;
  std::function<void(const std::string& path)> apply;
};

const ModelChange kModelChanges[] = {
    {"Emptied", [](const std::string& path) { fs::resize_file(path, 0); }},
    {"CutInTheMiddle", [](const std::string& path) { fs::resize_file(path, 30'000); }},
    {"WrittenTo",
     [](const std::string& path) {
       std::fstream file(path, std::ios::in | std::ios::out | std::ios::binary);
       file.seekp(20'000);
       file << std::string(100, '\x3c');
     }},
    {"Replaced", [](const std::string& path) {
       fs::copy_file(path, path + ".new");
       fs::rename(path + ".new", path);
     }}};

class AModelFile : public ::testing::TestWithParam<ModelChange> {};

TEST_P(AModelFile, ChangedUnderATrainingIsNamedAndTheLastCheckpointStays) {
  const Workshop workshop;
  workshop.write("run.json", endless_run());
  const std::string was = workshop.read("model/model.safetensors");
  ChildProcess child(workshop.path(""), {"train", "run.json"});
  wait_until(child, [&] { return fs::exists(workshop.path("out/checkpoints/last")); });
  GetParam().apply(workshop.path("model/model.safetensors"));
  expect_named(child.wait(), "model/model.safetensors");
  EXPECT_TRUE(temporaries(workshop).empty());
  workshop.write("model/model.safetensors", was);
  const Finished resumed = workshop.run("train run.json --resume --dry-run");
  EXPECT_EQ(resumed.exit_code, 0) << resumed.err;
}

TEST_P(AModelFile, ChangedBeforeTheEndOfATrainingLeavesNoResult) {
  const Workshop workshop;
  workshop.write("run.json", run_json({{"/training/max_steps", 600}}));
  ChildProcess child(workshop.path(""), {"train", "run.json"});
  wait_until(child, [&] { return child.errors_so_far().find("\nstep ") != std::string::npos; });
  GetParam().apply(workshop.path("model/model.safetensors"));
  expect_named(child.wait(), "model/model.safetensors");
  EXPECT_FALSE(fs::exists(workshop.path("out/adapter")));
  EXPECT_FALSE(fs::exists(workshop.path("out/manifest.json")));
}

TEST_P(AModelFile, ChangedUnderOtherCommandsIsNamed) {
  const Workshop workshop;
  make_large_model(workshop);
  std::string ids = R"({"input_ids": [[1)";
  std::string rows;
  for (int i = 0; i < 1500; ++i) {
    ids += ", 7";
  }
  for (int i = 0; i < 40; ++i) {
    rows += R"({"prompt": "some text to be measured with", "completion": " and its end"})"
            "\n";
  }
  workshop.write("ids.json", ids + "]]}");
  workshop.write("many.jsonl", rows);
  workshop.write("prompt.txt", "a b");
  const std::string path = workshop.path("large/model.safetensors");
  const std::string was = workshop.read("large/model.safetensors");
  for (const char* arguments :
       {"eval -m large --tokenizer bytes -d many.jsonl",
        "eval -m large --tokenizer bytes -d many.jsonl --metric exact_match",
        "generate -m large --tokenizer bytes -n 100 --temperature 1 --prompt-file prompt.txt",
        "logits -m large --ids ids.json --out logits.safetensors",
        "merge -m large -a lora/adapter --out merged"}) {
    SCOPED_TRACE(arguments);
    ChildProcess child(workshop.path(""), words(arguments));
    wait_until(child, [&] { return child.has_mapped(path); });
    GetParam().apply(path);
    expect_named(child.wait(), "large/model.safetensors");
    EXPECT_TRUE(temporaries(workshop).empty());
    EXPECT_FALSE(fs::exists(workshop.path("logits.safetensors")));
    EXPECT_FALSE(fs::exists(workshop.path("merged")));
    workshop.write("large/model.safetensors", was);
  }
}

INSTANTIATE_TEST_SUITE_P(Signals, AModelFile, ::testing::ValuesIn(kModelChanges),
                         [](const auto& change) { return change.param.name; });

}  // namespace
}  // namespace inlay
