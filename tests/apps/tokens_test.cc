// SPDX-License-Identifier: Apache-2.0

// Tokenizers that do not fit their model, and where a generation ends, through the real command.

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <filesystem>

#include "tests/apps/workshop.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

/// A byte as byte-level vocabularies spell it: itself where it prints, else the next code point
/// from U+0100 on.
std::string letter(int byte) {
  const auto prints = [](int b) { return (b > 32 && b < 127) || (b > 160 && b != 173); };
  int code_point = byte;
  if (!prints(byte)) {
    code_point = 256;
    for (int before = 0; before < byte; ++before) {
      code_point += prints(before) ? 0 : 1;
    }
  }
  return code_point < 128 ? std::string(1, static_cast<char>(code_point))
                          : std::string{static_cast<char>(0xC0 | code_point >> 6),
                                        static_cast<char>(0x80 | (code_point & 0x3F))};
}

/// The 256 bytes, which are all that the workshop's model has rows for, and tokens behind them.
std::string bytes_and(const std::vector<std::string>& added, bool special = true) {
  Json file = {
      {"version", "1.0"},
      {"added_tokens", Json::array()},
      {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"model", {{"type", "BPE"}, {"vocab", Json::object()}, {"merges", Json::array()}}}};
  for (int byte = 0; byte < 256; ++byte) {
    file["model"]["vocab"][letter(byte)] = byte;
  }
  for (const std::string& content : added) {
    file["added_tokens"].push_back({{"id", 256 + file["added_tokens"].size()},
                                    {"content", content},
                                    {"single_word", false},
                                    {"lstrip", false},
                                    {"rstrip", false},
                                    {"normalized", false},
                                    {"special", special}});
  }
  return file.dump();
}

const std::string kNotice =
    "model: the tokenizer has 257 tokens and the model rows for 256; text that needs one of the "
    "others, such as \"[PAD]\" (256), is refused\n";
const std::string kRefusal =
    "token 256 (\"[PAD]\") is not in the model's vocabulary of 256, which ends before the "
    "tokenizer's\n";

/// One token more than the model has rows.
struct LargerTokenizer : Workshop {
  LargerTokenizer() { write("model/tokenizer.json", bytes_and({"[PAD]"})); }
};

void expect(const Workshop& workshop, const std::vector<std::string>& arguments, int code,
            const std::string& in_err) {
  const Finished finished = workshop.run(arguments);
  EXPECT_EQ(finished.exit_code, code) << arguments[0] << ": " << finished.err;
  EXPECT_NE(finished.err.find(in_err), std::string::npos) << finished.err;
}

TEST(LargerTokenizer, IsAFaultOnlyWhereATextNeedsIt) {
  const LargerTokenizer workshop;
  workshop.write("ids.json", R"({"input_ids": [[1, 2, 255]]})");
  const std::vector<std::string> logits = {"logits",   "-m", "model",          "--ids",
                                           "ids.json", "-o", "out.safetensors"};
  expect(workshop, logits, 0, kNotice);
  workshop.write("ids.json", R"({"input_ids": [[1, 2, 256]]})");
  expect(workshop, logits, 4, "ids.json: /input_ids/0/2: expected an id from 0 to 255, found 256");
  const auto generate = [](const std::string& prompt) {
    return std::vector<std::string>{"generate", "-m", "model", "-n", "1", "-p", prompt};
  };
  expect(workshop, generate("a"), 0, kNotice);
  expect(workshop, generate("a[PAD]"), 4, kRefusal);
  workshop.write("chat.jinja", "{{ messages[0].content }}[PAD]");
  expect(
      workshop,
      {"generate", "-m", "model", "-n", "1", "-p", "a", "--chat", "--chat-template", "chat.jinja"},
      4, kRefusal);
  expect(workshop, words("eval -m model -d rows.jsonl"), 0, kNotice);
}

TEST(LargerTokenizer, InTraining) {
  const LargerTokenizer workshop;
  const auto run_with = [&](const std::string& rows) {
    workshop.write("rows.jsonl", rows);
    workshop.write("run.json", run_json({{"/model", {{"model_name_or_path", "model"}}}}));
    std::filesystem::remove_all(workshop.path("out"));
    return words("train run.json");
  };
  expect(workshop, run_with("{\"text\": \"abc\"}\n"), 0, kNotice);
  // What users write is no control token; but an added token that is none, either, is always one.
  expect(workshop, run_with("{\"text\": \"abc[PAD]\"}\n"), 0, kNotice);
  workshop.write("model/tokenizer.json", bytes_and({"[PAD]"}, /*special=*/false));
  expect(workshop, run_with("{\"text\": \"abc\"}\n{\"text\": \"abc[PAD]\"}\n"), 4,
         "rows.jsonl: line 2: " + kRefusal);
  workshop.write("model/tokenizer.json", bytes_and({"[PAD]"}));
  workshop.write("model/tokenizer_config.json", R"({"chat_template":
      "{% for m in messages %}{{ m.content }}[PAD]{% endfor %}"})");
  expect(workshop,
         run_with(R"({"messages": [{"role": "user", "content": "a"}, )"
                  R"({"role": "assistant", "content": "b"}]})"
                  "\n"),
         4, "rows.jsonl: line 1: " + kRefusal);
  // An end-of-sequence token behind every text.
  workshop.write("model/tokenizer_config.json", R"({"eos_token": "[PAD]"})");
  expect(workshop, run_with("{\"text\": \"abc\"}\n"), 4, "rows.jsonl: line 1: " + kRefusal);
  // A model of random weights, with a table too short for the bytes.
  Json config = workshop.read_json("model/config.json");
  config["vocab_size"] = 100;
  workshop.write("rows.jsonl", "{\"text\": \"ABC\"}\n{\"text\": \"ABCz\"}\n");
  workshop.write("run.json", run_json({{"/model", {{"config", config}, {"tokenizer", "bytes"}}},
                                       {"/peft", nullptr}}));
  workshop.expect_refused("train run.json", kData,
                          "rows.jsonl: line 2: token 122 (\"z\") is not in the model's vocabulary "
                          "of 100, which ends before the tokenizer's");
}

/// What the model says after "a", to end a generation with.
i32 first_token(const Workshop& workshop) {
  workshop.write("ids.json", R"({"input_ids": [[97]]})");
  EXPECT_EQ(workshop.run("logits -m model --ids ids.json -o l.safetensors").exit_code, 0);
  const std::string data = split_safetensors(workshop.read("l.safetensors")).second;
  std::vector<float> logits(data.size() / sizeof(float));
  std::memcpy(logits.data(), data.data(), data.size());
  return static_cast<i32>(std::max_element(logits.begin(), logits.end()) - logits.begin());
}

TEST(Generation, EndsAtTheIdsOfTheModelsFiles) {
  const Workshop made;
  const i32 id = first_token(made);
  const i32 other = id == 5 ? 6 : 5;
  const std::string own = R"({"eos_token": "A"})";
  const std::string key = R"("eos_token_id": )";
  const struct {
    Json config;             // config.json's eos_token_id
    std::string generation;  // generation_config.json
    std::string tokenizer;   // tokenizer_config.json; "": --tokenizer bytes
    bool ends;               // before the first token
    std::string err = "";
  } cases[] = {
      {nullptr, "", "", false},
      {id, "", "", true},
      {{other, id}, "", "", true},
      {{other, id}, "", own, true},
      {nullptr, "{" + key + str(id) + "}", "", true},
      {nullptr, "{" + key + str(id) + "}", own, true},
      {other, "{" + key + "[" + str(other) + ", " + str(id) + "]}", own, true},
      {id, "{" + key + str(other) + "}", "", false},  // generation_config.json alone
      {id, "{" + key + str(other) + "}", own, false},
      {id, R"({"temperature": 1.0})", "", true},
      {{256, id, -1},
       "",
       "",
       true,
       "model/config.json: /eos_token_id: 256 is not an id of the vocabulary, which has 256"},
      {nullptr, "{" + key + "300}", "", false,
       "model/generation_config.json: /eos_token_id: the model has tokens from 0 to 255, not 300; "
       "it is not used"},
      {{300, id}, "", own, true, "there is no token with id 300; it is not used"},
  };
  for (const auto& c : cases) {
    const Workshop workshop;
    Json config = workshop.read_json("model/config.json");
    config["eos_token_id"] = c.config;
    workshop.write("model/config.json", config.dump());
    if (!c.generation.empty()) {
      workshop.write("model/generation_config.json", c.generation);
    }
    std::string command = "generate -m model -n 3 --speed -p a";
    if (c.tokenizer.empty()) {
      command += " --tokenizer bytes";
    } else {
      workshop.write("model/tokenizer.json", bytes_and({}));
      workshop.write("model/tokenizer_config.json", c.tokenizer);
    }
    const Finished finished = workshop.run(command);
    EXPECT_EQ(finished.exit_code, 0) << finished.err;
    const bool went_on = finished.err.find("decode") != std::string::npos;
    EXPECT_EQ(went_on, !c.ends) << c.config << c.generation << c.tokenizer << finished.err;
    EXPECT_NE(finished.err.find(c.err), std::string::npos) << finished.err;
  }
}

TEST(WrittenModels, TokenizeAsTheirSource) {
  const Workshop workshop;
  // All that may say what a token is.
  const std::map<std::string, std::string> files = {
      {"tokenizer.json", bytes_and({})},
      {"tokenizer_config.json", R"({"eos_token": "A"})"},
      {"special_tokens_map.json", R"({"additional_special_tokens": ["<x>"]})"},
      {"added_tokens.json", R"({"<y>": 256})"},
      {"chat_template.jinja", "{{ messages[0].content }}"},
  };
  const std::string generation = R"({"eos_token_id": [65, 66]})";
  const auto expect_files = [&](const std::string& folder) {
    for (const auto& [name, content] : files) {
      EXPECT_EQ(workshop.read(folder + "/" + name), content) << folder;
    }
    const std::vector<std::string> source = {"tokenize", "--tokenizer", "source", "a<x><y>A"};
    const std::vector<std::string> written = {"tokenize", "--tokenizer", folder, "a<x><y>A"};
    EXPECT_EQ(workshop.run(written).out, workshop.run(source).out);
  };
  for (const auto& [name, content] : files) {
    workshop.write("source/" + name, content);
    workshop.write("model/" + name, content);
  }
  workshop.write("model/generation_config.json", generation);
  EXPECT_EQ(workshop.run("merge -m model -a adapter -o merged").exit_code, 0);
  expect_files("merged");
  EXPECT_EQ(workshop.read("merged/generation_config.json"), generation);
  // Full training, with a tokenizer of another folder.
  for (const auto& [name, content] : files) {
    std::filesystem::remove(workshop.path("model/" + name));
  }
  workshop.write("run.json", run_json({{"/model/tokenizer", "source"}, {"/peft", nullptr}}));
  const Finished finished = workshop.run("train run.json");
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  expect_files("out/model");
  EXPECT_EQ(workshop.read("out/model/generation_config.json"), generation);
}

}  // namespace
}  // namespace inlay
