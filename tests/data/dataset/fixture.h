// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/file_system.h"
#include "data/dataset/dataset.h"
#include "data/template/chat_template.h"
#include "data/tokenizer/load.h"
#include "tests/data/golden.h"
#include "tests/support/temp_directory.h"

/// Small models to read data sets for: a golden tokenizer with named and further control tokens,
/// and a chat template.
namespace inlay {

struct TestTokenizer {
  std::string style = "smollm_style";
  std::string bos = "";  // none
  std::string eos = "<|im_end|>";
  std::vector<std::string> added = {};  // control tokens, with the ids from 1200 on

  Tokenizer load() const {
    nlohmann::json json = golden_tokenizer_json(style);
    i64 id = 1200;  // the golden tokenizers have as many tokens
    for (const std::string& content : added) {
      json["added_tokens"].push_back({{"id", id++},
                                      {"content", content},
                                      {"single_word", false},
                                      {"lstrip", false},
                                      {"rstrip", false},
                                      {"normalized", false},
                                      {"special", true}});
    }
    nlohmann::json config = nlohmann::json::object();
    if (!bos.empty()) {
      config["bos_token"] = bos;
    }
    if (!eos.empty()) {
      config["eos_token"] = eos;
    }
    const TempDirectory directory;
    write_file(directory.file("tokenizer.json"), json.dump());
    write_file(directory.file("tokenizer_config.json"), config.dump());
    return load_tokenizer(directory.path());
  }
};

struct TestModel {
  Tokenizer tokenizer;
  std::optional<ChatTemplate> chat;

  /// `chat_file` is one of tests/golden/templates, or "".
  explicit TestModel(const TestTokenizer& parts = {}, const std::string& chat_file = "")
      : tokenizer(parts.load()) {
    if (!chat_file.empty()) {
      const std::string path = INLAY_SOURCE_DIR "/tests/golden/templates/" + chat_file;
      chat =
          ChatTemplate::from_text(file_system().read(path, 1 << 20),
                                  {{"bos_token", parts.bos}, {"eos_token", parts.eos}}, chat_file);
    }
  }

  DatasetModel model() const {
    return {.tokenizer = &tokenizer, .chat_template = chat ? &*chat : nullptr};
  }
};

inline TestModel chatml_model() {
  return TestModel({}, "chatml.jinja");
}
inline TestModel llama3_model() {
  return TestModel({.style = "llama3_style",
                    .bos = "<|endoftext|>",
                    .eos = "<|eot_id|>",
                    .added = {"<|start_header_id|>", "<|end_header_id|>", "<|eot_id|>"}},
                   "llama3.jinja");
}
inline TestModel gemma_model() {
  return TestModel({.bos = "<bos>", .added = {"<bos>", "<start_of_turn>", "<end_of_turn>"}},
                   "gemma.jinja");
}

/// The data set of a file with this content; `name` chooses how it is cut into rows. Errors come
/// without the directory of the file.
inline Dataset load_text(const std::string& text, const DatasetModel& model,
                         const DatasetOptions& options = {},
                         const std::string& name = "train.jsonl") {
  const TempDirectory directory;
  write_file(directory.file(name), text);
  return load_dataset(directory.file(name), options, model);
}

/// The sentence of the error of load_text, without the file's directory; "" when there is none.
inline std::string load_error(const std::string& text, const DatasetModel& model,
                              const DatasetOptions& options = {},
                              const std::string& name = "train.jsonl") {
  const TempDirectory directory;
  write_file(directory.file(name), text);
  try {
    load_dataset(directory.file(name), options, model);
  } catch (const Error& error) {
    const std::string sentence = error.what();
    return sentence.substr(sentence.find(name));
  }
  return "";
}

/// What an example teaches: the text of its tokens, those with a label in brackets. A token that is
/// both given and learnt in part would show as either, never as both.
inline std::string learnt(const Example& example, const Tokenizer& tokenizer) {
  std::string text;
  std::size_t done = 0;
  while (done < example.ids.size()) {
    const bool labelled = example.labels[done] != kIgnoreLabel;
    std::size_t end = done;
    while (end < example.ids.size() && (example.labels[end] != kIgnoreLabel) == labelled) {
      ++end;
    }
    const auto run = std::span(example.ids).subspan(done, end - done);
    text += labelled ? "[" + tokenizer.decode(run) + "]" : tokenizer.decode(run);
    done = end;
  }
  return text;
}

/// The same of every row of `text`.
inline std::vector<std::string> learnt_rows(const std::string& text, const TestModel& model,
                                            const DatasetOptions& options = {},
                                            const std::string& name = "train.jsonl") {
  std::vector<std::string> rows;
  for (const Example& example : load_text(text, model.model(), options, name).examples) {
    rows.push_back(learnt(example, model.tokenizer));
  }
  return rows;
}

}  // namespace inlay
