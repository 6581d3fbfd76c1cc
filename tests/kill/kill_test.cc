// SPDX-License-Identifier: Apache-2.0

// A training run killed again and again, at random moments and within saves: whatever is on disk is
// whole, and every run that is gone on with ends in the same bytes. INLAY_KILLS says how often
// (default 20), INLAY_KILL_SEED which moments.

#include <gtest/gtest.h>
#include <signal.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <random>
#include <thread>

#include "core/io/sha256.h"
#include "tests/apps/workshop.h"

namespace inlay {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr int kSteps = 40;

i64 setting(const char* name, i64 otherwise) {
  const char* text = std::getenv(name);
  return text == nullptr ? otherwise : std::atoll(text);
}

class Killed : public ::testing::Test {
 protected:
  Killed() : random_(static_cast<u64>(seed_)) {
    std::printf("INLAY_KILL_SEED=%ld\n", static_cast<long>(seed_));
    workshop_.write("run.json", run_json({{"/peft/target_modules", "all-linear"},
                                          {"/peft/r", 16},
                                          {"/training/max_steps", kSteps},
                                          {"/training/learning_rate", 1e-3},
                                          {"/save/save_steps", 2},
                                          {"/save/save_total_limit", 2}}));
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_EQ(workshop_.run("train run.json --set save.output_dir=whole").exit_code, 0);
    whole_us_ = std::chrono::duration_cast<std::chrono::microseconds>(
                    std::chrono::steady_clock::now() - begin)
                    .count();
    result_ = workshop_.read("whole/adapter/adapter_model.safetensors");
  }

  bool in_save() const {
    std::error_code ignored;
    for (const auto& entry : fs::directory_iterator(workshop_.path("out/checkpoints"), ignored)) {
      if (entry.path().filename().string().starts_with(".step-")) {
        return true;
      }
    }
    return false;
  }

  i64 below(i64 end) { return std::uniform_int_distribution<i64>(0, end - 1)(random_); }

  /// Starts the command, and ends it at a random moment: in a save, or at any time of a run.
  void start_and_kill(const std::string& arguments) {
    ChildProcess child(workshop_.path(""), words(arguments));
    if (below(2) == 0) {
      std::this_thread::sleep_for(std::chrono::microseconds(below(whole_us_)));
      while (!child.has_ended() && !in_save()) {
        std::this_thread::sleep_for(std::chrono::microseconds(20));
      }
      std::this_thread::sleep_for(std::chrono::microseconds(below(2000)));
    } else {
      std::this_thread::sleep_for(std::chrono::microseconds(below(whole_us_)));
    }
    child.send(SIGKILL);
    child.wait();
  }

  /// Everything that has the name of a checkpoint is one, to the last byte.
  void expect_whole_checkpoints() const {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(workshop_.path("out/checkpoints"), none)) {
      const std::string name = entry.path().filename().string();
      if (name.starts_with(".")) {
        continue;
      }
      if (name == "last") {
        std::string step = workshop_.read("out/checkpoints/last");
        step.pop_back();
        EXPECT_TRUE(fs::is_directory(workshop_.path("out/checkpoints/" + step))) << step;
        continue;
      }
      const std::string folder = "out/checkpoints/" + name + "/";
      ASSERT_TRUE(fs::exists(workshop_.path(folder + "trainer_state.json"))) << name;
      const Json state = workshop_.read_json(folder + "trainer_state.json");
      EXPECT_EQ(name, "step-" + state["step"].dump());
      ASSERT_EQ(state["files"].size(), 3U);
      for (const auto& [file, facts] : state["files"].items()) {
        const std::string content = workshop_.read(folder + file);
        EXPECT_EQ(sha256_hex(std::as_bytes(std::span(content))), facts["sha256"].get<std::string>())
            << name << file;
      }
    }
  }

  /// What a user does after a crash.
  std::string next_command() const {
    return fs::exists(workshop_.path("out/checkpoints/last")) ? "train run.json --resume"
                                                              : "train run.json --overwrite";
  }

  i64 seed_ = setting("INLAY_KILL_SEED", 1);
  Workshop workshop_;
  std::mt19937_64 random_;
  i64 whole_us_ = 0;
  std::string result_;
};

TEST_F(Killed, LeavesWholeFilesAndResumesToTheSameBytes) {
  const i64 kills = setting("INLAY_KILLS", 20);
  workshop_.write("out/notes.txt", "mine");  // beside the run, from the first start on
  i64 done = 0;
  i64 finished_first = 0;
  while (done < kills) {
    // One to three kills in a row: a resumed run is killed like any other.
    for (i64 row = 1 + below(3); row > 0 && done < kills; --row, ++done) {
      SCOPED_TRACE(str("kill ", done + 1, " of ", kills));
      start_and_kill(next_command());
      finished_first += fs::exists(workshop_.path("out/manifest.json")) ? 1 : 0;
      expect_whole_checkpoints();
      ASSERT_FALSE(HasFailure());
    }
    const Finished finished = workshop_.run(next_command());
    ASSERT_EQ(finished.exit_code, 0) << "after kill " << done << ": " << finished.err;
    ASSERT_EQ(workshop_.read("out/adapter/adapter_model.safetensors"), result_) << done;
    for (const auto& entry : fs::recursive_directory_iterator(workshop_.path("out"))) {
      EXPECT_EQ(entry.path().filename().string().find(".inlay-"), std::string::npos)
          << entry.path() << " was left behind";
    }
    EXPECT_EQ(workshop_.read("out/notes.txt"), "mine");
    // The next one begins from nothing, or over the finished run.
    if (below(2) == 0) {
      fs::remove_all(workshop_.path("out/checkpoints"));
    } else {
      fs::remove_all(workshop_.path("out"));
      workshop_.write("out/notes.txt", "mine");
    }
  }
  std::printf("%ld kills, %ld of them after the run's own end\n", static_cast<long>(done),
              static_cast<long>(finished_first));
}

}  // namespace
}  // namespace inlay
