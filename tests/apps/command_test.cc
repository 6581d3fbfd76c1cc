// SPDX-License-Identifier: Apache-2.0

// Each command as a user runs it, on models small enough to learn three rows by heart in a second.

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>

#include <chrono>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <sstream>
#include <thread>

#include "tests/apps/workshop.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

/// Runs a command that must succeed, and returns what it printed.
std::string done(const Workshop& workshop, const std::vector<std::string>& arguments,
                 const std::string& input = "") {
  const Finished finished = workshop.run(arguments, input);
  EXPECT_EQ(finished.exit_code, 0) << arguments[0] << ": " << finished.err;
  return finished.out;
}
std::string done(const Workshop& workshop, const std::string& arguments,
                 const std::string& input = "") {
  return done(workshop, words(arguments), input);
}

std::vector<Json> json_lines(const std::string& text) {
  std::vector<Json> out;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    out.push_back(Json::parse(line));
  }
  return out;
}

std::vector<float> f32_tensor(const std::string& file, const std::string& name) {
  const auto [header, data] = split_safetensors(file);
  const std::size_t begin = header[name]["data_offsets"][0];
  const std::size_t end = header[name]["data_offsets"][1];
  std::vector<float> values((end - begin) / sizeof(float));
  std::memcpy(values.data(), data.data() + begin, end - begin);
  return values;
}

/// From random weights, until the three rows are known by heart.
std::string scratch_run(const Workshop& workshop, const Changes& more = {}) {
  Changes changes = {
      {"/model", {{"config", workshop.read_json("model/config.json")}, {"tokenizer", "bytes"}}},
      {"/peft", nullptr},
      {"/training/max_steps", 120},
      {"/training/per_device_train_batch_size", 3},
      {"/training/learning_rate", 0.01}};
  changes.insert(changes.end(), more.begin(), more.end());
  return run_json(changes);
}

/// An adapter that changes the model for good: every layer, many large steps.
std::string strong_lora_run(const Changes& more = {}) {
  Changes changes = {{"/peft/target_modules", "all-linear"},
                     {"/training/max_steps", 20},
                     {"/training/learning_rate", 0.01}};
  changes.insert(changes.end(), more.begin(), more.end());
  return run_json(changes);
}

TEST(Command, TrainsFromScratchAndTheModelHasLearntItsRows) {
  const Workshop workshop;
  workshop.write("run.json", scratch_run(workshop));
  const Json result = Json::parse(done(workshop, "train run.json --json"));
  EXPECT_EQ(result["steps"], 120);
  EXPECT_EQ(result["finished"], true);
  EXPECT_EQ(result["output"], "out/model");
  const std::vector<Json> metrics = json_lines(workshop.read("out/metrics.jsonl"));
  ASSERT_EQ(metrics.size(), 120U);
  EXPECT_NEAR(metrics.front()["loss"].get<double>(), std::log(256.0), 0.2);  // all bytes alike
  EXPECT_LT(metrics.back()["loss"].get<double>(), 0.01);
  EXPECT_EQ(metrics.back()["loss"], result["last_loss"]);
  EXPECT_EQ(workshop.read_json("out/manifest.json")["steps"], 120);

  const std::string model = "-m out/model --tokenizer bytes ";
  const Json loss = Json::parse(done(workshop, "eval " + model + "-d rows.jsonl --json"));
  EXPECT_LT(loss["loss"].get<double>(), 0.01);
  EXPECT_DOUBLE_EQ(loss["perplexity"].get<double>(), std::exp(loss["loss"].get<double>()));
  EXPECT_EQ(loss["rows"], 3);
  const Json matches =
      Json::parse(done(workshop, "eval " + model + "-d rows.jsonl --metric exact_match --json"));
  EXPECT_EQ(matches["exact_match"], 1.0);
  EXPECT_EQ(matches["results"][0]["generated"], "c d");

  std::vector<std::string> generate = words("generate " + model + "-n 4 --prompt");
  generate.emplace_back("1 2");
  EXPECT_EQ(done(workshop, generate), " 3 4\n");
  workshop.write("prompt.txt", "a b");
  EXPECT_EQ(done(workshop, "generate " + model + "-n 4 --prompt-file prompt.txt"), " c d\n");
  EXPECT_EQ(done(workshop, "generate " + model + "-n 4 --prompt-file -", "a b"), " c d\n");
  // Sampling repeats with its seed.
  const std::string sampled =
      "generate " + model + "-n 12 --temperature 3 --seed 5 --prompt-file prompt.txt";
  EXPECT_EQ(done(workshop, sampled), done(workshop, sampled));
}

TEST(Command, ChatAnswersLineByLineUntilAnEmptyOne) {
  const Workshop workshop;
  workshop.write("run.json", scratch_run(workshop));
  done(workshop, "train run.json");
  // The template shows the last message alone, so each question stands for itself.
  workshop.write("chat.jinja", "{{ messages[-1].content }}");
  const std::string chat = "chat -m out/model --tokenizer bytes --chat-template chat.jinja -n 4";
  EXPECT_EQ(done(workshop, chat, "a b\n1 2\n\na b\n"), " c d\n 3 4\n");
  EXPECT_EQ(done(workshop, chat, "a b\n"), " c d\n");
  workshop.write("prompt.txt", "1 2");
  EXPECT_EQ(done(workshop,
                 "generate -m out/model --tokenizer bytes --chat --chat-template "
                 "chat.jinja -n 4 --prompt-file prompt.txt"),
            " 3 4\n");
}

TEST(Command, EvalRepeatsTheValidationOfTheRun) {
  const Workshop workshop;
  workshop.write("run.json", strong_lora_run({{"/data/validation", "rows.jsonl"},
                                              {"/training/compute_dtype", "f32"},
                                              {"/training/per_device_train_batch_size", 3}}));
  const Json result = Json::parse(done(workshop, "train run.json --json"));
  const Json eval = Json::parse(done(workshop,
                                     "eval -m model -a out/adapter --tokenizer bytes -d "
                                     "rows.jsonl --batch-size 3 --json"));
  EXPECT_EQ(eval["loss"], result["eval_loss"]);  // the same sums in the same order
  const Json base =
      Json::parse(done(workshop, "eval -m model --tokenizer bytes -d rows.jsonl --json"));
  EXPECT_GT(base["loss"].get<double>(), eval["loss"].get<double>() + 0.5);
}

TEST(Command, MergeKeepsTheLogitsOfBaseAndAdapter) {
  const Workshop workshop;
  workshop.write("run.json", strong_lora_run());
  done(workshop, "train run.json");
  workshop.write("ids.json", R"({"input_ids": [[1, 2, 3], [97, 32, 98]]})");
  const auto logits = [&](const std::string& model) {
    EXPECT_EQ(done(workshop, "logits --ids ids.json -o logits.safetensors -m " + model),
              "logits [2, 3, 256] f32 written to logits.safetensors\n");
    return f32_tensor(workshop.read("logits.safetensors"), "logits");
  };
  const Json report = Json::parse(done(workshop, "merge -m model -a out/adapter -o merged --json"));
  EXPECT_LE(report["relative_difference"].get<double>(), 1e-5);
  const std::vector<float> base = logits("model");
  const std::vector<float> adapted = logits("model -a out/adapter");
  const std::vector<float> merged = logits("merged");
  const std::vector<float> switched_off = logits("model -a out/adapter@0");
  ASSERT_EQ(adapted.size(), 2U * 3U * 256U);
  double moved = 0.0;
  double drift = 0.0;
  for (std::size_t i = 0; i < adapted.size(); ++i) {
    moved = std::max(moved, std::abs(static_cast<double>(adapted[i]) - base[i]));
    drift = std::max(drift, std::abs(static_cast<double>(adapted[i]) - merged[i]));
    EXPECT_EQ(switched_off[i], base[i]);  // a scale of 0 is the base
  }
  EXPECT_GT(moved, 0.5);
  EXPECT_LT(drift, 1e-4);  // logits near 10, a few hundred additions in f32
  EXPECT_EQ(workshop.run("merge -m model -a out/adapter -o merged").exit_code, 2);
  done(workshop, "merge -m model -a out/adapter -o merged --dtype bf16 --overwrite");
  const auto header = split_safetensors(workshop.read("merged/model.safetensors")).first;
  EXPECT_EQ(header["model.layers.0.self_attn.q_proj.weight"]["dtype"], "BF16");
}

TEST(Command, InspectTellsEachKindApart) {
  const Workshop workshop;
  workshop.write("run.json", run_json({{"/save/save_steps", 1}}));
  done(workshop, "train run.json");
  const auto inspect = [&](const std::string& path) {
    EXPECT_NE(done(workshop, "inspect " + path), "");
    return Json::parse(done(workshop, "inspect --json " + path));
  };
  const Json run = inspect("out");
  EXPECT_EQ(run["kind"], "run");
  EXPECT_EQ(run["finished"], true);
  EXPECT_EQ(run["checkpoints"], Json::array({"step-1"}));
  EXPECT_EQ(run["last_metrics"]["step"], 1);
  const Json model = inspect("model");
  EXPECT_EQ(model["kind"], "model");
  EXPECT_EQ(model["config"]["model_type"], "llama");
  EXPECT_EQ(model["tensors"][0]["name"], "model.embed_tokens.weight");
  EXPECT_EQ(model["tensors"][0]["shape"], Json::array({256, 32}));
  const std::string text = done(workshop, "inspect model");
  EXPECT_NE(text.find("[256,32]           33 kB\n"), std::string::npos) << text;
  EXPECT_NE(text.find("[32]               128 B\n"), std::string::npos) << text;
  const Json adapter = inspect("adapter");
  EXPECT_EQ(adapter["kind"], "adapter");
  EXPECT_EQ(adapter["method"], "LoRA");
  EXPECT_EQ(adapter["rank"], 4);
  const Json checkpoint = inspect("out/checkpoints/step-1");
  EXPECT_EQ(checkpoint["kind"], "checkpoint");
  EXPECT_EQ(checkpoint["state"]["step"], 1);
  EXPECT_EQ(inspect("model/model.safetensors")["kind"], "safetensors");
}

TEST(Command, TokenizeShowsIdsPiecesAndTheTextAgain) {
  const Workshop workshop;
  EXPECT_EQ(done(workshop, "tokenize --tokenizer bytes --json hé"),
            R"([{"text":"hé","ids":[104,195,169],"decoded":"hé"}])"
            "\n");
  workshop.write("texts.json", R"(["a", "b c"])");
  EXPECT_EQ(done(workshop, "tokenize --tokenizer bytes --json --file texts.json"),
            R"([{"text":"a","ids":[97],"decoded":"a"},{"text":"b c","ids":[98,32,99],)"
            R"("decoded":"b c"}])"
            "\n");
  EXPECT_EQ(done(workshop, "tokenize --tokenizer bytes hi"), "   104  h\n   105  i\n");
}

TEST(Command, DataShowMarksWhatIsLearnt) {
  const Workshop workshop;
  const std::vector<Json> rows = json_lines(done(workshop, "data show run.json --json -n 2"));
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0]["ids"], Json::array({97, 32, 98, 32, 99, 32, 100}));
  EXPECT_EQ(rows[0]["labels"], Json::array({-100, -100, -100, 32, 99, 32, 100}));
  EXPECT_EQ(rows[1]["line"], 2);
  const std::string text = done(workshop, "data show run.json");
  EXPECT_NE(text.find("3 rows (prompt_completion), 19 tokens, 10 trained on; the longest has 7 "
                      "(line 1); 0 truncated\n"),
            std::string::npos)
      << text;
}

TEST(Command, ConfigsAreMadeCheckedShownAndDescribed) {
  const Workshop workshop;
  EXPECT_EQ(done(workshop, "config init new.json"), "written: new.json\n");
  EXPECT_EQ(done(workshop, "config check new.json"), "new.json: no mistakes\n");
  EXPECT_EQ(done(workshop, "config init -"), workshop.read("new.json"));
  const std::string shown = done(workshop, "config show run.json --set training.seed=7");
  EXPECT_EQ(Json::parse(shown)["training"]["seed"], 7);
  EXPECT_EQ(Json::parse(shown)["training"]["adam_beta2"], 0.999);  // a default, spelt out
  workshop.write("shown.json", shown);
  EXPECT_EQ(done(workshop, "config show shown.json"), shown);
  const Json schema = Json::parse(done(workshop, "config schema"));
  EXPECT_TRUE(schema["properties"].contains("training"));
  EXPECT_TRUE(schema["properties"].contains("extends"));
  EXPECT_NE(done(workshop, "config show --keys").find("training.learning_rate = 0.0002"),
            std::string::npos);
}

TEST(Command, HelpAndVersionAreThere) {
  const Workshop workshop;
  EXPECT_EQ(done(workshop, "--version").substr(0, 6), "inlay ");
  const std::string help = done(workshop, "--help");
  for (const char* command : {"train", "eval", "generate", "chat", "merge", "inspect", "data",
                              "tokenize", "logits", "config"}) {
    EXPECT_NE(help.find(std::string("\n  ") + command + " "), std::string::npos) << command;
    EXPECT_NE(done(workshop, std::string(command) + " --help").find("Usage: "), std::string::npos);
  }
}

TEST(Command, TensorsOutsideAnIndexAreMentioned) {
  const Workshop workshop;
  auto [header, data] = split_safetensors(workshop.read("model/model.safetensors"));
  header.erase("__metadata__");
  Json map;
  for (const auto& [name, tensor] : header.items()) {
    map[name] = "part.safetensors";
  }
  header["extra"] = {
      {"dtype", "U8"}, {"shape", {1}}, {"data_offsets", {data.size(), data.size() + 1}}};
  workshop.write("model/part.safetensors", join_safetensors(header.dump(), data + "x"));
  workshop.write("model/model.safetensors.index.json", Json{{"weight_map", map}}.dump());
  std::filesystem::remove(workshop.path("model/model.safetensors"));
  const Finished finished = workshop.run("generate -m model --tokenizer bytes -n 1 --prompt x");
  EXPECT_EQ(finished.exit_code, 0);
  EXPECT_EQ(finished.err,
            "note: model: 1 tensors of the file are not part of the model, such as \"extra\"\n");
}

TEST(Command, GenerateTellsItsSpeedWhenAsked) {
  const Workshop workshop;
  const std::string command = "generate -m model --tokenizer bytes -n 3 --prompt abcde";
  const Finished plain = workshop.run(command);
  const Finished timed = workshop.run(command + " --speed");
  EXPECT_EQ(timed.exit_code, 0);
  EXPECT_EQ(timed.out, plain.out);
  EXPECT_EQ(plain.err, "");
  EXPECT_TRUE(timed.err.starts_with("prompt   5 tokens in ")) << timed.err;
  EXPECT_NE(timed.err.find(" tokens/s\ndecode   2 tokens in "), std::string::npos) << timed.err;
}

TEST(Command, ExactMatchReachesTheLastPositionOfAModel) {
  const Workshop workshop;
  const Json gpt2 = {{"model_type", "gpt2"}, {"vocab_size", 256}, {"n_embd", 32},
                     {"n_layer", 1},         {"n_head", 4},       {"n_positions", 8},
                     {"attn_pdrop", 0},      {"resid_pdrop", 0},  {"embd_pdrop", 0}};
  workshop.write("rows.jsonl", R"({"prompt": "abcde", "completion": "fgh"}
{"prompt": "1", "completion": "2345678"}
)");
  workshop.write("run.json",
                 scratch_run(workshop, {{"/model/config", gpt2}, {"/training/max_steps", 200}}));
  done(workshop, "train run.json");
  const std::string model = "-m out/model --tokenizer bytes ";
  const Json matches =
      Json::parse(done(workshop, "eval " + model + "-d rows.jsonl --metric exact_match --json"));
  EXPECT_EQ(matches["matches"], 2) << matches.dump();
  workshop.expect_refused("generate " + model + "--prompt abcde -n 4", ExitCode::kUsage,
                          "--max-new-tokens: expected at most 3 after a prompt of 5 tokens, as "
                          "this model has positions for 8, found 4");
  workshop.expect_refused("generate " + model + "--prompt abcdefgh -n 1", ExitCode::kUsage,
                          "generate: the prompt is 8 tokens, which leaves none to generate: this "
                          "model has positions for 8");
  workshop.write("chat.jinja", "{{ messages[0].content }}");
  workshop.expect_refused("chat " + model + "--chat-template chat.jinja -n 4 --context 9",
                          ExitCode::kUsage,
                          "--context: expected at most the 8 positions of this model, found 9");
}

TEST(Command, AFullDiskBehindStdoutIsAnError) {
  const Workshop workshop;
  const std::string line = "cd '" + workshop.path("") + "' && '" + command_path() +
                           "' config show run.json > /dev/full 2> errors";
  EXPECT_EQ(WEXITSTATUS(std::system(line.c_str())), 4);
  EXPECT_EQ(workshop.read("errors"), "inlay: stdout: cannot write: no space left on device\n");
}

TEST(Command, ADryRunWritesNothing) {
  const Workshop workshop;
  EXPECT_EQ(done(workshop, "train run.json --dry-run"),
            "dry run: everything is in place, nothing was written\n");
  EXPECT_FALSE(std::filesystem::exists(workshop.path("out")));
}

/// Every loss, evaluation and learning rate of a run, without the clock.
std::vector<Json> curve(const Workshop& workshop, const std::string& run) {
  std::vector<Json> lines = json_lines(workshop.read(run + "/metrics.jsonl"));
  for (Json& line : lines) {
    for (const char* key : {"tokens_per_second", "rss_bytes", "elapsed_s"}) {
      line.erase(key);
    }
  }
  return lines;
}

class Interrupted : public ::testing::TestWithParam<int> {};

TEST_P(Interrupted, SavesAndResumesToTheSameBits) {
  const Workshop workshop;
  // Long enough to be met by the signal on a fast machine, short enough to be run twice.
  workshop.write("run.json", scratch_run(workshop, {{"/training/max_steps", 1500},
                                                    {"/training/learning_rate", 1e-3}}));
  done(workshop, "train run.json --set save.output_dir=whole");

  ChildProcess child(workshop.path(""), {"train", "run.json"});
  while (!child.has_ended() && child.errors_so_far().find("\nstep ") == std::string::npos) {
    std::this_thread::sleep_for(std::chrono::milliseconds(2));
  }
  child.send(GetParam());
  const Finished stopped = child.wait();
  ASSERT_EQ(stopped.exit_code, 128 + GetParam()) << stopped.err;
  EXPECT_NE(stopped.err.find("stopped by SIG"), std::string::npos) << stopped.err;
  EXPECT_NE(stopped.err.find("--resume goes on from there\n"), std::string::npos) << stopped.err;
  EXPECT_FALSE(std::filesystem::exists(workshop.path("out/model")));
  EXPECT_FALSE(std::filesystem::exists(workshop.path("out/manifest.json")));
  EXPECT_LT(curve(workshop, "out").size(), 1500U);

  done(workshop, "train run.json --resume");
  EXPECT_EQ(workshop.read("out/model/model.safetensors"),
            workshop.read("whole/model/model.safetensors"));
  EXPECT_EQ(curve(workshop, "out"), curve(workshop, "whole"));
  EXPECT_EQ(workshop.read_json("out/manifest.json")["loss_digest"],
            workshop.read_json("whole/manifest.json")["loss_digest"]);
}

INSTANTIATE_TEST_SUITE_P(Command, Interrupted, ::testing::Values(SIGHUP, SIGINT, SIGTERM),
                         [](const auto& signal) {
                           return signal.param == SIGHUP   ? "BySighup"
                                  : signal.param == SIGINT ? "BySigint"
                                                           : "BySigterm";
                         });

}  // namespace
}  // namespace inlay
