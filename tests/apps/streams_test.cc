// SPDX-License-Identifier: Apache-2.0

// Standard streams that are closed, broken or full; configs that come from one; and paths that are
// no text.

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <functional>

#include "tests/apps/workshop.h"

namespace inlay {
namespace {

namespace fs = std::filesystem;

/// Leaves the descriptor with a pipe that nobody reads.
void break_pipe(int descriptor) {
  int ends[2];
  if (::pipe(ends) != 0) {
    ::_exit(126);
  }
  ::dup2(ends[1], descriptor);
  ::close(ends[0]);
  ::close(ends[1]);
}

void make_full(int descriptor) {
  const int full = ::open("/dev/full", O_WRONLY);
  ::dup2(full, descriptor);
  ::close(full);
}

struct StreamCase {
  const char* name;
  std::function<void()> prepare;
  int exit_code;  // 4 where the results, which go to stdout, cannot arrive
};

const StreamCase kStreamCases[] = {
    {"stdin closed", [] { ::close(0); }, 0},
    {"stdout closed", [] { ::close(1); }, 4},
    {"stderr closed", [] { ::close(2); }, 0},
    {"stdin and stderr closed",
     [] {
       ::close(0);
       ::close(2);
     },
     0},
    {"all closed",
     [] {
       ::close(0);
       ::close(1);
       ::close(2);
     },
     4},
    {"stderr without a reader", [] { break_pipe(2); }, 0},
    {"stderr full", [] { make_full(2); }, 0},
    {"stdout without a reader", [] { break_pipe(1); }, 4},
    {"stdout full", [] { make_full(1); }, 4},
    {"both without a reader",
     [] {
       break_pipe(1);
       break_pipe(2);
     },
     4},
};

// The files of a run come out the same: none of them has become a stream that others print to.
TEST(Streams, NeverCostATrainingItsResult) {
  const Workshop workshop;
  const std::string train = "train run.json --set training.max_steps=30";
  ASSERT_EQ(workshop.run(train).exit_code, 0);
  const auto result = [&] {
    std::string all;
    for (const char* name : {"adapter/adapter_model.safetensors", "adapter/adapter_config.json",
                             "config.resolved.json"}) {
      all += workshop.read(std::string("out/") + name);
    }
    return all;
  };
  const std::string expected = result();
  for (const StreamCase& c : kStreamCases) {
    SCOPED_TRACE(c.name);
    fs::remove_all(workshop.path("out"));
    EXPECT_EQ(run_inlay(workshop.path(""), words(train), "", c.prepare).exit_code, c.exit_code);
    EXPECT_EQ(result(), expected);
    EXPECT_EQ(workshop.read_json("out/manifest.json")["steps"], 30);
  }
}

TEST(Streams, ThatTakeNoResultsAreAnError) {
  const Workshop workshop;
  for (const StreamCase& c : kStreamCases) {
    for (const char* arguments :
         {"config show run.json", "config init -", "inspect model",
          "tokenize --tokenizer bytes abc", "data show run.json", "plan run.json", "--help",
          "--version", "generate -m model --tokenizer bytes -n 20 -p a",
          "eval -m model --tokenizer bytes -d "
          "rows.jsonl"}) {
      SCOPED_TRACE(std::string(c.name) + ": " + arguments);
      const Finished finished = run_inlay(workshop.path(""), words(arguments), "", c.prepare);
      EXPECT_EQ(finished.exit_code, c.exit_code);
      const std::string cannot = "inlay: stdout: cannot write: ";
      if (c.exit_code != 0 && !finished.err.empty()) {
        EXPECT_NE(finished.err.find(cannot), std::string::npos) << finished.err;
      }
    }
  }
}

TEST(Streams, AClosedStdinIsNoEmptyFile) {
  const Workshop workshop;
  for (const char* arguments :
       {"generate -m model --tokenizer bytes --prompt-file -", "config show -", "train -"}) {
    SCOPED_TRACE(arguments);
    const Finished finished =
        run_inlay(workshop.path(""), words(arguments), "", [] { ::close(0); });
    EXPECT_NE(finished.exit_code, 0);
    EXPECT_NE(finished.err.find("inlay: "), std::string::npos);
    EXPECT_NE(finished.err.find("cannot read: bad file descriptor"), std::string::npos)
        << finished.err;
  }
}

// ---- Configs from a stream.

/// Gives the child `text` to read from `descriptor`, by a pipe or a socket.
std::function<void()> feed(int descriptor, const std::string& text, bool socket = false) {
  return [=] {
    int ends[2];
    if ((socket ? ::socketpair(AF_UNIX, SOCK_STREAM, 0, ends) : ::pipe(ends)) != 0 ||
        ::write(ends[1], text.data(), text.size()) != static_cast<ssize_t>(text.size())) {
      ::_exit(126);
    }
    ::close(ends[1]);
    if (ends[0] != descriptor) {
      ::dup2(ends[0], descriptor);
      ::close(ends[0]);
    }
  };
}

std::string run_without_output() {
  nlohmann::json config = nlohmann::json::parse(run_json({}));
  config.erase("save");
  return config.dump();
}

struct Feed {
  const char* name;
  std::string path;
  std::function<void()> prepare;  // empty: stdin is a regular file
};

std::vector<Feed> feeds() {
  const std::string text = run_without_output();
  return {{"- from a file", "-", {}},
          {"- from a pipe", "-", feed(0, text)},
          {"- from a socket", "-", feed(0, text, true)},
          {"/dev/stdin from a file", "/dev/stdin", {}},
          {"/dev/stdin from a pipe", "/dev/stdin", feed(0, text)},
          {"/dev/fd/7 as of <(…)", "/dev/fd/7", feed(7, text)},
          {"/proc/self/fd/7", "/proc/self/fd/7", feed(7, text)}};
}

TEST(ConfigFromAStream, StartsAtTheWorkingDirectory) {
  const Workshop workshop;
  for (const Feed& f : feeds()) {
    SCOPED_TRACE(f.name);
    const auto run = [&](std::vector<std::string> arguments) {
      arguments.push_back(f.path);
      return run_inlay(workshop.path(""), arguments, f.prepare ? "" : run_without_output(),
                       f.prepare);
    };
    const Finished shown = run({"config", "show"});
    EXPECT_EQ(shown.exit_code, 0) << shown.err;
    EXPECT_EQ(nlohmann::json::parse(shown.out)["save"]["output_dir"], "runs/stdin");
    EXPECT_EQ(nlohmann::json::parse(shown.out)["data"]["train"], "rows.jsonl");
    EXPECT_EQ(run({"config", "check"}).exit_code, 0);
    EXPECT_EQ(run({"plan"}).exit_code, 0);
    EXPECT_EQ(run({"data", "show"}).exit_code, 0);
    EXPECT_EQ(run({"train", "--dry-run"}).exit_code, 0);
    const Finished trained = run({"train"});
    EXPECT_EQ(trained.exit_code, 0) << trained.err;
    EXPECT_TRUE(fs::exists(workshop.path("runs/stdin/adapter/adapter_model.safetensors")));
    fs::remove_all(workshop.path("runs"));
    EXPECT_EQ(run({"train", "--set", "save.output_dir=elsewhere"}).exit_code, 0);
    EXPECT_TRUE(fs::exists(workshop.path("elsewhere/manifest.json")));
    EXPECT_FALSE(fs::exists(workshop.path("runs")));
    fs::remove_all(workshop.path("elsewhere"));
  }
}

TEST(ConfigFromAStream, ANamedPipeHasNoFolderEither) {
  const Workshop workshop;
  fs::create_directory(workshop.path("sub"));
  ASSERT_EQ(::mkfifo(workshop.path("sub/pipe.json").c_str(), 0600), 0);
  ChildProcess child(workshop.path(""), words("config show sub/pipe.json"));
  std::ofstream(workshop.path("sub/pipe.json")) << run_without_output();
  const Finished shown = child.wait();
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_EQ(nlohmann::json::parse(shown.out)["save"]["output_dir"], "runs/stdin");
  EXPECT_EQ(nlohmann::json::parse(shown.out)["data"]["train"], "rows.jsonl");
}

TEST(ConfigFromAStream, ALinkToAConfigIsAConfig) {
  const Workshop workshop;
  workshop.write("configs/real.json", run_without_output());
  fs::create_symlink("real.json", workshop.path("configs/link.json"));
  const Finished shown = workshop.run("config show configs/link.json");
  ASSERT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_EQ(nlohmann::json::parse(shown.out)["save"]["output_dir"], "configs/runs/link");
}

TEST(ConfigFromAStream, MayExtendAFileAndIsNamedInErrors) {
  const Workshop workshop;
  workshop.write("base.json", run_without_output());
  const Finished shown = workshop.run("config show -", R"({"extends": "base.json"})");
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_EQ(workshop.run("config check -", R"({"extends": "base.json"})").out,
            "stdin: no mistakes\n");
  const struct {
    const char* text;
    const char* sentence;
  } cases[] = {
      {R"({"pefd": {}})", "inlay: stdin: /pefd: unknown key"},
      {"[]", "inlay: stdin: expected a JSON object"},
      {"", "inlay: stdin: "},
      {R"({"extends": "none.json"})", "inlay: none.json: cannot open"},
  };
  for (const auto& c : cases) {
    const Finished refused = workshop.run("config check -", c.text);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_TRUE(refused.err.starts_with(c.sentence)) << refused.err;
  }
}

// ---- Names that are bytes, not text.

TEST(PathsThatAreNotUtf8, AreReadAndWrittenByCommandsThatOnlyUseThem) {
  const Workshop workshop;
  const std::string model = "m\xff";
  fs::rename(workshop.path("model"), workshop.path(model));
  fs::rename(workshop.path("adapter"), workshop.path("a\xfe"));
  workshop.write("ids\xfd.json", R"({"input_ids": [[1, 2]]})");
  const std::vector<std::vector<std::string>> commands = {
      {"generate", "-m", model, "--tokenizer", "bytes", "-p", "a", "-n", "2", "-a", "a\xfe"},
      {"eval", "-m", model, "--tokenizer", "bytes", "-d", "rows.jsonl", "--json"},
      {"logits", "-m", model, "--ids", "ids\xfd.json", "-o", "l\xff.safetensors"},
      {"inspect", model},
      {"inspect", model, "--json"},
      {"merge", "-m", model, "-a", "a\xfe", "-o", "merged\xff", "--json"},
      {"merge", "-m", model, "-a", "a\xfe", "-o", "merged\xfe"},
      {"config", "init", "c\xff.json"}};
  for (const std::vector<std::string>& arguments : commands) {
    SCOPED_TRACE(arguments[0] + " " + arguments[1]);
    const Finished finished = workshop.run(arguments);
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
  }
  EXPECT_TRUE(fs::exists(workshop.path("merged\xff/model.safetensors")));
}

TEST(PathsThatAreNotUtf8, AreRefusedBeforeTheFirstStepWhereARunWouldNameThem) {
  const Workshop workshop;
  fs::create_directory(workshop.path("f\xff"));
  for (const char* name : {"model", "rows.jsonl", "run.json"}) {
    fs::copy(workshop.path(name), workshop.path(std::string("f\xff/") + name),
             fs::copy_options::recursive);
  }
  for (const std::vector<std::string>& arguments :
       {std::vector<std::string>{"train", "f\xff/run.json"},
        std::vector<std::string>{"train", "f\xff/run.json", "--set", "save.output_dir=out"},
        std::vector<std::string>{"config", "show", "f\xff/run.json"}}) {
    const Finished refused = workshop.run(arguments);
    EXPECT_EQ(refused.exit_code, 2);
    EXPECT_EQ(
        refused.err,
        "inlay: f\xff/run.json: its paths lead through a folder whose name is not UTF-8, which "
        "the files of a run cannot say; rename the folder\n");
  }
  EXPECT_FALSE(fs::exists(workshop.path("out")));
  EXPECT_FALSE(fs::exists(workshop.path("f\xff/out")));
  // The working directory alone stands in no file of the run.
  EXPECT_EQ(run_inlay(workshop.path("f\xff"), words("train run.json")).exit_code, 0);
}

TEST(PathsThatAreNotUtf8, OfACacheAreRefusedToo) {
  const Workshop workshop;
  const std::string cache = workshop.path("cache\xff");
  const std::string model = cache + "/models--some--model";
  fs::create_directories(model + "/refs");
  fs::create_directories(model + "/snapshots");
  std::ofstream(model + "/refs/main") << "1234";
  fs::copy(workshop.path("model"), model + "/snapshots/1234", fs::copy_options::recursive);
  const Finished refused = run_inlay(
      workshop.path(""), words("train run.json --set model.model_name_or_path=some/model"), "",
      [&] { ::setenv("HF_HUB_CACHE", cache.c_str(), 1); });
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_NE(refused.err.find("the path of this model is not UTF-8"), std::string::npos)
      << refused.err;
  EXPECT_FALSE(fs::exists(workshop.path("out")));
}

}  // namespace
}  // namespace inlay
