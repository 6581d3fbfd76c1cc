// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>

#include "core/error.h"
#include "core/io/atomic.h"
#include "data/tokenizer/load.h"
#include "tests/data/golden.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

using Files = std::map<std::string, std::string>;

/// A directory with the GPT-2 golden tokenizer and further files.
class ModelDirectory {
 public:
  explicit ModelDirectory(const Files& files) {
    write("tokenizer.json", golden_tokenizer_json("gpt2_style").dump());
    for (const auto& [name, text] : files) {
      write(name, text);
    }
  }
  Tokenizer load() const { return load_tokenizer(directory_.path()); }
  std::string error() const {
    try {
      load();
    } catch (const DataError& error) {
      const std::string text = error.what();
      return text.substr(std::min(text.size(), directory_.path().size() + 1));
    }
    return "no error";
  }
  std::string file(const std::string& name) const { return directory_.file(name); }

 private:
  void write(const std::string& name, const std::string& text) {
    make_directories(parent_path(directory_.file(name)));
    write_file(directory_.file(name), text);
  }
  TempDirectory directory_;
};

TEST(SpecialTokens, ComeFromTheFirstFileThatNamesThem) {
  const ModelDirectory directory(Files{
      {"tokenizer_config.json",
       R"({"eos_token": {"content": "<|im_end|>", "lstrip": false}, "bos_token": null})"},
      {"special_tokens_map.json", R"({"eos_token": "!", "bos_token": "<|im_start|>"})"},
      {"generation_config.json", R"({"eos_token_id": [2, 0], "pad_token_id": 0})"},
      {"config.json", R"({"eos_token_id": 9, "pad_token_id": 9, "unk_token_id": 4})"},
  });
  const Tokenizer tokenizer = directory.load();
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.pad_id(), 0);
  EXPECT_EQ(tokenizer.unk_id(), 4);
  EXPECT_EQ(tokenizer.eos_ids(), (std::vector<i32>{2, 0}));
  EXPECT_TRUE(tokenizer.notes().empty());
  // The file itself and its directory are the same thing.
  EXPECT_EQ(load_tokenizer(directory.file("tokenizer.json")).eos_id(), 2);
}

TEST(SpecialTokens, MayAllBeAbsent) {
  const Tokenizer tokenizer = ModelDirectory(Files{}).load();
  EXPECT_EQ(tokenizer.bos_id(), std::nullopt);
  EXPECT_EQ(tokenizer.eos_id(), std::nullopt);
  EXPECT_EQ(tokenizer.pad_id(), std::nullopt);
  EXPECT_EQ(tokenizer.unk_id(), std::nullopt);
  EXPECT_TRUE(tokenizer.eos_ids().empty());
  EXPECT_TRUE(tokenizer.chat_templates().empty());
}

TEST(SpecialTokens, AreFoundInTheModelsConfigWhereNoOtherFileHasThem) {
  const ModelDirectory directory(
      Files{{"config.json", R"({"eos_token_id": 0, "bos_token_id": 0})"}});
  EXPECT_EQ(directory.load().eos_id(), 0);
  EXPECT_EQ(directory.load().eos_ids(), (std::vector<i32>{0}));
  EXPECT_EQ(directory.load().bos_id(), 0);
}

TEST(SpecialTokens, ThatAreNoTokensAreErrorsOrNotes) {
  EXPECT_EQ(ModelDirectory(Files{{"tokenizer_config.json", R"({"eos_token": "</s>"})"}}).error(),
            "tokenizer_config.json: /eos_token: \"</s>\" is not a token of tokenizer.json");
  EXPECT_EQ(ModelDirectory(Files{{"tokenizer_config.json", R"({"bos_token": 3})"}}).error(),
            "tokenizer_config.json: /bos_token: expected a string, found number");
  const ModelDirectory directory(Files{{"tokenizer_config.json", R"({"pad_token": "[PAD]"})"},
                                       {"config.json", R"({"pad_token_id": -1})"}});
  const Tokenizer tokenizer = directory.load();
  EXPECT_EQ(tokenizer.pad_id(), std::nullopt);
  ASSERT_EQ(tokenizer.notes().size(), 2U);
  EXPECT_EQ(tokenizer.notes()[0],
            directory.file("tokenizer_config.json") +
                ": /pad_token: \"[PAD]\" is not a token of tokenizer.json; it is not used");
  EXPECT_EQ(tokenizer.notes()[1],
            directory.file("config.json") +
                ": /pad_token_id: there is no token with id -1; it is not used");
}

TEST(SpecialTokens, ThatOnlyTheConfigHasAreRefused) {
  const auto with = [](const std::string& added) {
    return ModelDirectory(
               Files{{"tokenizer_config.json", R"({"added_tokens_decoder": )" + added + "}"}})
        .error();
  };
  EXPECT_EQ(with(R"({"0": {"content": "<|endoftext|>"}, "2": {"content": "<|im_end|>"}})"),
            "no error");
  EXPECT_EQ(with(R"({"1200": {"content": "<tool>"}})"),
            "tokenizer_config.json: /added_tokens_decoder/1200: \"<tool>\" is no token in "
            "tokenizer.json; save the tokenizer again, both files together");
  EXPECT_EQ(with(R"({"5": {"content": "<|im_end|>"}})"),
            "tokenizer_config.json: /added_tokens_decoder/5: \"<|im_end|>\" has id 2 in "
            "tokenizer.json; save the tokenizer again, both files together");
}

TEST(SpecialTokens, ContradictionsAreNoted) {
  const ModelDirectory directory(
      Files{{"tokenizer_config.json",
             R"({"bos_token": "<|im_start|>", "add_bos_token": true, "add_eos_token": false,
            "add_prefix_space": true})"}});
  const Tokenizer tokenizer = directory.load();
  const std::string file = directory.file("tokenizer_config.json");
  EXPECT_EQ(
      tokenizer.notes(),
      (std::vector<std::string>{
          file + ": /add_bos_token: is true, but tokenizer.json, which is followed, says false",
          file + ": /add_prefix_space: is true, but tokenizer.json, which is followed, says "
                 "false"}));
  EXPECT_EQ(tokenizer.encode("!"), (std::vector<i32>{3}));
}

TEST(SpecialTokens, ChatTemplatesComeFromAllTheirPlaces) {
  const auto names = [](const Tokenizer& tokenizer) {
    std::string all;
    for (const NamedTemplate& chat : tokenizer.chat_templates()) {
      all += chat.name + '=' + chat.text + ' ';
    }
    return all;
  };
  EXPECT_EQ(
      names(ModelDirectory(Files{{"tokenizer_config.json", R"({"chat_template": "one"})"}}).load()),
      "default=one ");
  EXPECT_EQ(
      names(ModelDirectory(Files{{"tokenizer_config.json",
                                  R"({"chat_template": [{"name": "default", "template": "one"},
                                                         {"name": "tools", "template": "two"}]})"},
                                 {"chat_template.jinja", "three"},
                                 {"additional_chat_templates/rag.jinja", "four"},
                                 {"additional_chat_templates/notes.txt", "no template"}})
                .load()),
      "default=three tools=two rag=four ");
  EXPECT_EQ(ModelDirectory(Files{{"chat_template.jinja", "a\xFF"}}).error(),
            "chat_template.jinja: byte 0xff at offset 1 is not UTF-8");
}

TEST(LoadTokenizer, SaysWhatIsMissing) {
  const TempDirectory empty;
  const auto error_of = [](const std::string& path) -> std::string {
    try {
      load_tokenizer(path);
    } catch (const Error& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(error_of(empty.path()),
            empty.path() + ": there is no tokenizer.json in this directory");
  write_file(empty.file("tokenizer.model"), "\n");
  EXPECT_EQ(error_of(empty.path()),
            empty.path() +
                ": there is no tokenizer.json in this directory, and tokenizer.model is not "
                "supported");
  EXPECT_EQ(error_of(empty.file("other.json")).substr(0, empty.path().size() + 11),
            empty.file("other.json"));
}

}  // namespace
}  // namespace inlay
