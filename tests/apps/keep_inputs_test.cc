// SPDX-License-Identifier: Apache-2.0

// Commands that write never take the place of what they read, whatever names it is given, nor of
// files that somebody else put where they write.

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <filesystem>
#include <system_error>
#include <thread>

#include "tests/apps/workshop.h"

namespace inlay {
namespace {

namespace fs = std::filesystem;

/// The workshop with more names for what is in it, and a run in out/.
class KeepInputs : public ::testing::Test {
 protected:
  KeepInputs() {
    fs::create_directory_symlink("model", workshop_.path("model-link"));
    fs::create_directory_symlink("adapter", workshop_.path("adapter-link"));
    fs::create_symlink("model/model.safetensors", workshop_.path("weights-link"));
    fs::create_hard_link(workshop_.path("model/model.safetensors"),
                         workshop_.path("weights-hard-link"));
    workshop_.write("ids.json", R"({"input_ids": [[1, 2, 3]]})");
    fs::create_hard_link(workshop_.path("ids.json"), workshop_.path("ids-hard-link"));
    fs::create_directories(workshop_.path("folder"));
  }
  /// A command in the folder of the workshop must be refused with a sentence that has these words.
  void expect_refused(const std::string& arguments, const std::vector<std::string>& parts) const {
    SCOPED_TRACE(arguments);
    workshop_.expect_refused(arguments, kUsage, "…");
    const std::string sentence = workshop_.run(arguments).err;
    for (const std::string& part : parts) {
      EXPECT_NE(sentence.find(part), std::string::npos) << sentence;
    }
  }
  Workshop workshop_;
};

TEST_F(KeepInputs, LogitsReplaceNothingThatTheyRead) {
  for (const char* out :
       {"model/model.safetensors", "./model/../model/model.safetensors", "folder/../ids.json",
        "model-link/model.safetensors", "weights-link", "weights-hard-link", "ids.json",
        "ids-hard-link", "model/config.json", "adapter/adapter_model.safetensors",
        "adapter-link/adapter_config.json"}) {
    expect_refused(str("logits -m model -a adapter --ids ids.json --out ", out),
                   {"this would be replaced, and it is or holds the ", "choose another --out"});
  }
  expect_refused("logits -m model --tokenizer rows.jsonl --ids ids.json --out rows.jsonl",
                 {"the tokenizer, rows.jsonl"});
  EXPECT_EQ(workshop_.run("logits -m model --ids ids.json --out folder").exit_code, 4);
  EXPECT_EQ(
      workshop_.run("logits -m model --ids ids.json --out /dev/null").err,
      "inlay: /dev/null: cannot create: this is a device or a pipe, and no place for a file\n");
  // A file of its own may be beside the model's, and be written again.
  for (int i = 0; i < 2; ++i) {
    EXPECT_EQ(
        workshop_.run("logits -m model --ids ids.json --out model/logits.safetensors").exit_code,
        0);
  }
}

TEST_F(KeepInputs, MergeReplacesNeitherItsInputsNorWhatNoMergeWrote) {
  fs::create_directories(workshop_.path("holds/deep"));
  fs::copy(workshop_.path("adapter"), workshop_.path("holds/deep/adapter"));
  fs::copy(workshop_.path("model"), workshop_.path("other-model"));
  fs::create_directories(workshop_.path("links"));
  fs::copy(workshop_.path("model/config.json"), workshop_.path("links/config.json"));
  fs::create_directories(workshop_.path("blobs"));
  fs::copy(workshop_.path("model/model.safetensors"), workshop_.path("blobs/x"));
  fs::create_symlink("../blobs/x", workshop_.path("links/model.safetensors"));
  for (const char* overwrite : {"", " --overwrite"}) {
    for (const char* out :
         {"model", "./model/", "model-link", "folder/../model", "adapter", "adapter-link", "."}) {
      expect_refused(str("merge -m model -a adapter --out ", out, overwrite),
                     {"this would be replaced, and it is or holds the "});
    }
    expect_refused(str("merge -m model -a holds/deep/adapter --out holds", overwrite),
                   {"holds the adapter, holds/deep/adapter"});
    expect_refused(str("merge -m links -a adapter --out blobs", overwrite),
                   {"holds the model, links/model.safetensors"});
    expect_refused(str("merge -m model -a adapter --out other-model", overwrite),
                   {"other-model: already there, and no merge wrote its config.json"});
    expect_refused(str("merge -m model -a adapter --out rows.jsonl", overwrite),
                   {"rows.jsonl: already there, and not a folder"});
  }
  EXPECT_EQ(workshop_.run("merge -m model -a adapter --out merged").exit_code, 0);
  expect_refused("merge -m model -a adapter --out merged", {"(--overwrite replaces it)"});
  EXPECT_EQ(workshop_.run("merge -m model -a adapter --out merged --overwrite").exit_code, 0);
  workshop_.write("merged/README.md", "mine");
  expect_refused("merge -m model -a adapter --out merged --overwrite",
                 {"merged: already there, and no merge wrote its README.md"});
}

TEST_F(KeepInputs, ConfigInitReplacesRunConfigsAlone) {
  for (const char* file : {"rows.jsonl", "model/config.json", "model/model.safetensors",
                           "adapter/adapter_config.json", "weights-link", "ids.json"}) {
    expect_refused(str("config init --overwrite ", file), {"this file is no run config"});
  }
  EXPECT_EQ(workshop_.run("config init --overwrite run.json").exit_code, 0);
  EXPECT_EQ(workshop_.run("config init --overwrite run.json").exit_code, 0);  // with its comments
  workshop_.write("empty.json", "{}");
  EXPECT_EQ(workshop_.run("config init --overwrite empty.json").exit_code, 0);
}

// ---- train: where the base and the other inputs are in what a run writes.

struct Project {
  const char* name;
  std::string output_dir;
  Changes changes;
  std::vector<std::string> parts;  // of the sentence
};

TEST_F(KeepInputs, OverwriteRemovesNoInputWhateverItIsCalled) {
  // A run of our own, with a model and an adapter in it that a next run starts from.
  workshop_.write(
      "full.json",
      run_json({{"/model",
                 {{"config", workshop_.read_json("model/config.json")}, {"tokenizer", "bytes"}}},
                {"/peft", nullptr},
                {"/save/output_dir", "full"}}));
  ASSERT_EQ(workshop_.run("train full.json").exit_code, 0);
  ASSERT_EQ(workshop_.run("train run.json --set save.save_steps=1").exit_code, 0);
  fs::create_directory_symlink("full", workshop_.path("full-link"));
  fs::create_directories(workshop_.path("linked"));
  fs::copy(workshop_.path("model/config.json"), workshop_.path("linked/config.json"));
  fs::create_symlink("../full/model/model.safetensors", workshop_.path("linked/model.safetensors"));
  workshop_.write("full/model/rows.jsonl", workshop_.read("rows.jsonl"));
  workshop_.write("out/adapter/chat.jinja", "{{ messages[0].content }}");
  const std::string base = "/model/model_name_or_path";
  const Project projects[] = {
      {"base", "full", {{base, "full/model"}}, {"full/model: ", "the base model, full/model;"}},
      {"base by ..", "./full/../full", {{base, "folder/../full/model/"}}, {"the base model"}},
      {"base by link", "full", {{base, "full-link/model"}}, {"the base model"}},
      {"run by link", "full-link", {{base, "full/model"}}, {"the base model"}},
      {"weights by link", "full", {{base, "linked"}}, {"linked/model.safetensors"}},
      {"absolute", workshop_.path("full"), {{base, "full/model"}}, {"the base model"}},
      {"data", "full", {{"/data/train", "full/model/rows.jsonl"}}, {"the training data"}},
      {"validation",
       "full",
       {{"/data/validation", "full/model/rows.jsonl"}},
       {"the validation data"}},
      {"adapter", "out", {{"/peft/init_from", "out/adapter"}}, {"the adapter to start from"}},
      {"checkpoint",
       "out",
       {{"/peft/init_from", "out/checkpoints/step-1"}},
       {"the adapter to start from"}},
      {"template",
       "out",
       {{"/model/chat_template", "out/adapter/chat.jinja"}},
       {"the chat template"}},
      {"tokenizer", "full", {{"/model/tokenizer", "full/model"}}, {"the tokenizer"}},
  };
  for (const Project& p : projects) {
    SCOPED_TRACE(p.name);
    Changes changes = p.changes;
    changes.emplace_back("/save/output_dir", p.output_dir);
    workshop_.write("next.json", run_json(changes));
    expect_refused("train next.json --overwrite", p.parts);
  }
  // The config itself, and one that it extends.
  expect_refused("train out/config.resolved.json --overwrite", {"the run config"});
  workshop_.write("next.json", R"({"extends": "out/config.resolved.json"})");
  expect_refused("train next.json --overwrite", {"the run config"});
}

TEST_F(KeepInputs, OverwriteTakesNoFolderThatIsNotOfARun) {
  // A project folder that the run writes into itself.
  workshop_.write("run.json", run_json({{"/save/output_dir", "."}}));
  expect_refused("train run.json --overwrite", {"./model: ", "holds the base model"});
  const std::string plain = workshop_.run("train run.json").err;
  EXPECT_EQ(plain,
            "inlay: .: the output directory is not empty, and what is in it is not of a run; "
            "choose another one\n");
  // Folders of others with the names that runs use.
  for (const char* name : {"adapter/adapter_model.safetensors", "model/weights", "checkpoints/a",
                           "metrics.jsonl", "manifest.json", "config.resolved.json"}) {
    const std::string file = str("theirs-", std::string(name).substr(0, 5), "/", name);
    workshop_.write(file, "{}");
    workshop_.write("run.json", run_json({{"/save/output_dir", file.substr(0, file.find('/'))}}));
    expect_refused("train run.json --overwrite", {"no run wrote it"});
    expect_refused("train run.json --resume", {"there is no run to resume"});
  }
  // Where nothing of theirs would go, theirs stays.
  workshop_.write("notes/notes.txt", "mine");
  workshop_.write("run.json", run_json({{"/save/output_dir", "notes"}}));
  EXPECT_EQ(workshop_.run("train run.json --overwrite").exit_code, 0);
  EXPECT_EQ(workshop_.read("notes/notes.txt"), "mine");
}

TEST_F(KeepInputs, WhatLiesBesideARunStays) {
  workshop_.write("run.json", run_json({{"/training/max_steps", 4}, {"/save/save_steps", 2}}));
  ASSERT_EQ(workshop_.run("train run.json").exit_code, 0);
  const std::vector<std::string> mine = {
      "out/notes.txt",       "out/checkpoints/notes.txt", "out/checkpoints/keep/weights",
      "out/model/notes.txt", "out/checkpoints/step-02/a", "out/plots/loss.svg"};
  for (const std::string& file : mine) {
    workshop_.write(file, "mine");
  }
  for (const char* command :
       {"train run.json --resume step-2", "train run.json --overwrite",
        "train run.json --resume --set save.save_total_limit=1", "train run.json --overwrite"}) {
    const Finished finished = workshop_.run(command);
    EXPECT_EQ(finished.exit_code, 0) << command << finished.err;
    for (const std::string& file : mine) {
      EXPECT_EQ(workshop_.read(file), "mine") << command;
    }
  }
  // Where the run would replace it, it is named before any work.
  for (const char* file : {"out/adapter/README.md", "out/checkpoints/step-4/notes.txt"}) {
    workshop_.write(file, "mine");
    for (const char* how : {"--overwrite", "--resume"}) {
      expect_refused(str("train run.json ", how),
                     {str(file, ": this would be replaced, and no run wrote it")});
    }
    fs::remove(workshop_.path(file));
  }
}

// ---- train: whatever becomes of its log.

TEST_F(KeepInputs, TheResultIsWrittenWhateverBecomesOfTheLog) {
  struct Case {
    const char* name;
    void (*act)(const Workshop& workshop);
    bool lost;  // lines of the log, for good
  };
  const Case cases[] = {
      {"removed", [](const Workshop& w) { fs::remove(w.path("out/metrics.jsonl")); }, true},
      {"renamed",
       [](const Workshop& w) {
         fs::rename(w.path("out/metrics.jsonl"), w.path("out/metrics.jsonl.1"));
       },
       true},
      {"emptied", [](const Workshop& w) { fs::resize_file(w.path("out/metrics.jsonl"), 0); }, true},
      {"the directory removed",
       [](const Workshop& w) {
         // Again, if the run put a file there while its neighbours went.
         for (std::error_code busy(1, std::generic_category()); busy;) {
           fs::remove_all(w.path("out"), busy);
         }
       },
       true},
      {"the directory renamed",
       [](const Workshop& w) { fs::rename(w.path("out"), w.path("gone")); }, true},
      {"left alone", [](const Workshop&) {}, false},
  };
  workshop_.write("run.json", run_json({{"/training/max_steps", 400}}));
  ASSERT_EQ(workshop_.run("train run.json").exit_code, 0);
  const std::string result = workshop_.read("out/adapter/adapter_model.safetensors");
  const auto digest = workshop_.read_json("out/manifest.json")["loss_digest"];
  for (const Case& c : cases) {
    SCOPED_TRACE(c.name);
    fs::remove_all(workshop_.path("out"));
    fs::remove_all(workshop_.path("gone"));
    ChildProcess child(workshop_.path(""), {"train", "run.json"});
    while (!child.has_ended() && child.errors_so_far().find("\nstep ") == std::string::npos) {
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    c.act(workshop_);
    const Finished finished = child.wait();
    EXPECT_EQ(finished.exit_code, c.lost ? 4 : 0) << finished.err;
    EXPECT_EQ(workshop_.read("out/adapter/adapter_model.safetensors"), result);
    EXPECT_EQ(workshop_.read_json("out/manifest.json")["loss_digest"], digest);
    EXPECT_TRUE(fs::exists(workshop_.path("out/config.resolved.json")));
    const std::string said = "out/metrics.jsonl: another program removed or changed this log";
    EXPECT_EQ(finished.err.find("note: " + said) != std::string::npos, c.lost) << finished.err;
    EXPECT_EQ(finished.err.find("\ninlay: " + said) != std::string::npos, c.lost) << finished.err;
  }
}

}  // namespace
}  // namespace inlay
