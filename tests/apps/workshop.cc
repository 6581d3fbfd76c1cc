// SPDX-License-Identifier: Apache-2.0
#include "tests/apps/workshop.h"

#include <gtest/gtest.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>

namespace inlay {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::json;

constexpr const char* kRows =
    R"({"prompt": "a b", "completion": " c d"}
{"prompt": "1 2", "completion": " 3 4"}
{"prompt": "x y", "completion": " z"}
)";

Json tiny_llama() {
  return {{"model_type", "llama"},    {"vocab_size", 256},
          {"hidden_size", 32},        {"intermediate_size", 64},
          {"num_hidden_layers", 2},   {"num_attention_heads", 4},
          {"num_key_value_heads", 2}, {"max_position_embeddings", 128},
          {"rms_norm_eps", 1e-5},     {"tie_word_embeddings", true}};
}

Json lora_run() {
  return {{"model", {{"model_name_or_path", "model"}, {"tokenizer", "bytes"}}},
          {"peft", {{"r", 4}, {"target_modules", {"q_proj"}}}},
          {"data", {{"train", "rows.jsonl"}, {"max_length", 64}}},
          {"training", {{"max_steps", 1}}},
          {"save", {{"output_dir", "out"}}},
          {"runtime", {{"threads", 1}}}};
}

/// Made once, and copied for every test.
class Template {
 public:
  Template() {
    std::ofstream(directory_.file("rows.jsonl")) << kRows;
    std::ofstream(directory_.file("run.json")) << lora_run().dump();
    Json scratch = lora_run();
    scratch["model"] = {{"config", tiny_llama()}, {"tokenizer", "bytes"}};
    scratch.erase("peft");
    train(scratch);
    fs::rename(directory_.file("out/model"), directory_.file("model"));
    fs::remove_all(directory_.file("out"));
    train(lora_run());
    fs::rename(directory_.file("out/adapter"), directory_.file("adapter"));
    fs::remove_all(directory_.file("out"));
    fs::remove(directory_.file("make.json"));
  }
  const std::string& path() const { return directory_.path(); }

 private:
  void train(const Json& config) {
    std::ofstream(directory_.file("make.json")) << config.dump();
    const Finished finished = run_inlay(directory_.path(), {"train", "make.json"});
    if (finished.exit_code != 0) {
      throw std::runtime_error("the workshop's own run failed: " + finished.err);
    }
  }
  TempDirectory directory_;
};

using Files = std::map<std::string, std::string>;  // path to content

void expect_same_files(const Files& before, const Files& after) {
  for (const auto& [name, content] : after) {
    EXPECT_TRUE(before.contains(name)) << name << " was left behind";
  }
  for (const auto& [name, content] : before) {
    EXPECT_TRUE(after.contains(name) && after.at(name) == content) << name << " was changed";
  }
}

}  // namespace

Workshop::Workshop() {
  static const Template made;
  fs::copy(made.path(), directory_.path(), fs::copy_options::recursive);
}

void Workshop::write(const std::string& name, const std::string& content) const {
  fs::create_directories(fs::path(path(name)).parent_path());
  std::ofstream(path(name), std::ios::binary) << content;
}

std::string Workshop::read(const std::string& name) const {
  std::ifstream file(path(name), std::ios::binary);
  EXPECT_TRUE(file) << name;
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

std::map<std::string, std::string> Workshop::files() const {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(directory_.path())) {
    const std::string name = fs::relative(entry.path(), directory_.path()).string();
    out[name] = entry.is_regular_file() ? read(name) : "";
  }
  return out;
}

void Workshop::expect_refused(const std::vector<std::string>& arguments, ExitCode code,
                              const std::string& sentence) const {
  std::string shown = "inlay";
  for (const std::string& argument : arguments) {
    shown += " " + argument;
  }
  SCOPED_TRACE(shown);
  const Files before = files();
  const Finished finished = run(arguments);
  EXPECT_EQ(finished.exit_code, static_cast<int>(code));
  EXPECT_EQ(finished.out, "");
  EXPECT_TRUE(matches_sentence(finished.err, "inlay: " + sentence))
      << "found    " << finished.err << "expected inlay: " << sentence;
  expect_same_files(before, files());
}

std::string run_json(const Changes& changes) {
  Json config = lora_run();
  for (const auto& [pointer, value] : changes) {
    config[Json::json_pointer(pointer)] = value;
  }
  return config.dump();
}

std::pair<Json, std::string> split_safetensors(const std::string& file) {
  std::uint64_t length = 0;
  std::memcpy(&length, file.data(), sizeof length);
  return {Json::parse(file.substr(sizeof length, length)), file.substr(sizeof length + length)};
}

std::string join_safetensors(const std::string& header, const std::string& data) {
  const std::uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), sizeof length) + header + data;
}

bool matches_sentence(const std::string& text, const std::string& expected) {
  constexpr std::string_view kAndSoOn = "…";
  const bool one_line = text.find('\n') + 1 == text.size();
  return expected.ends_with(kAndSoOn)
             ? one_line && text.starts_with(expected.substr(0, expected.size() - kAndSoOn.size()))
             : text == expected + "\n";
}

}  // namespace inlay
