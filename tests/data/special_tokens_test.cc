// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/file_system.h"
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

/// What Transformers finds in folders of all kinds: see make_golden.py there.
TEST(SpecialTokens, AreThoseThatTransformersFinds) {
  const auto cases = parse_ordered_json(
      file_system().read(golden("special_tokens/folders.json"), 1 << 20), "folders.json");
  ASSERT_GT(cases.size(), 50U);
  for (const auto& c : cases) {
    SCOPED_TRACE(c["name"].get<std::string>());
    nlohmann::json tokenizer_json = golden_tokenizer_json("gpt2_style");
    tokenizer_json["added_tokens"] = nlohmann::json::parse(c["added_tokens"].dump());
    Files files = {{"tokenizer.json", tokenizer_json.dump()}};
    for (const auto& [name, content] : c["files"].items()) {
      files[name] = content.dump();
    }
    const ModelDirectory directory(files);
    const Tokenizer tokenizer = directory.load();
    EXPECT_EQ(tokenizer.vocab_size(), c["vocab_size"].get<i64>());
    const auto role = [&](const char* name) {
      const auto& id = c["roles"][name];
      return id.is_null() ? std::nullopt : std::optional(id.get<i32>());
    };
    EXPECT_EQ(tokenizer.bos_id(), role("bos"));
    EXPECT_EQ(tokenizer.eos_id(), role("eos"));
    EXPECT_EQ(tokenizer.pad_id(), role("pad"));
    EXPECT_EQ(tokenizer.unk_id(), role("unk"));
    for (const auto& text : c["texts"]) {
      const auto ids = text["ids"].get<std::vector<i32>>();
      EXPECT_EQ(tokenizer.encode(text["text"].get<std::string>()), ids) << text["text"];
      EXPECT_EQ(tokenizer.decode(ids, {.skip_special_tokens = true}),
                text["decoded_skip"].get<std::string>());
    }
  }
}

TEST(SpecialTokens, ComeFromTheFirstFileThatNamesThem) {
  const ModelDirectory directory(Files{
      {"tokenizer_config.json", R"({"eos_token": "!", "bos_token": null, "pad_token": null})"},
      {"special_tokens_map.json",
       R"({"eos_token": {"content": "<|im_end|>", "lstrip": false}, "bos_token": "<|im_start|>"})"},
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

TEST(SpecialTokens, EndGenerationsWhereverTheirIdsAre) {
  const std::string named = R"({"eos_token": "<|endoftext|>"})";
  const struct {
    Files files;
    std::vector<i32> eos_ids;
    std::optional<i32> eos_id;
  } cases[] = {
      {{{"config.json", R"({"eos_token_id": 2})"}}, {2}, 2},
      {{{"config.json", R"({"eos_token_id": [2, 0]})"}}, {2, 0}, 2},
      {{{"config.json", R"({"eos_token_id": [0, 2]})"}, {"tokenizer_config.json", named}},
       {0, 2},
       0},
      {{{"config.json", R"({"eos_token_id": 2})"}, {"tokenizer_config.json", named}}, {0, 2}, 0},
      // A generation_config.json with ends is followed alone.
      {{{"generation_config.json", R"({"eos_token_id": 1})"},
        {"config.json", R"({"eos_token_id": 2})"},
        {"tokenizer_config.json", named}},
       {0, 1},
       0},
      {{{"generation_config.json", R"({"eos_token_id": [2, 2, 1]})"}}, {2, 1}, 2},
      {{{"generation_config.json", R"({"temperature": 1.0})"},
        {"config.json", R"({"eos_token_id": [1, 2]})"}},
       {1, 2},
       1},
      {{{"generation_config.json", R"({"eos_token_id": null})"},
        {"config.json", R"({"eos_token_id": 2})"}},
       {2},
       2},
      {{{"config.json", R"({"text_config": {"eos_token_id": [1, 2]}})"}}, {1, 2}, 1},
      {{{"config.json", R"({"eos_token_id": 0, "text_config": {"eos_token_id": 2}})"}}, {0}, 0},
      {{{"config.json", R"({"eos_token_id": [-1, 99999, 2]})"}}, {2}, 2},
      {{{"tokenizer_config.json", named}}, {0}, 0},
  };
  for (const auto& c : cases) {
    const Tokenizer tokenizer = ModelDirectory(c.files).load();
    EXPECT_EQ(tokenizer.eos_ids(), c.eos_ids) << nlohmann::json(c.files).dump();
    EXPECT_EQ(tokenizer.eos_id(), c.eos_id) << nlohmann::json(c.files).dump();
  }
}

TEST(SpecialTokens, IdsWithoutATokenAreNoted) {
  const ModelDirectory directory(Files{{"generation_config.json", R"({"eos_token_id": [2, 1200]})"},
                                       {"config.json", R"({"pad_token_id": -1})"}});
  EXPECT_EQ(directory.load().notes(),
            (std::vector<std::string>{directory.file("generation_config.json") +
                                          ": /eos_token_id/1: there is no token with id 1200; it "
                                          "is not used",
                                      directory.file("config.json") +
                                          ": /pad_token_id: there is no token with id -1; it is "
                                          "not used"}));
}

TEST(SpecialTokens, ThatAreNowhereAreAddedWithANote) {
  const ModelDirectory directory(Files{{"tokenizer_config.json",
                                        R"({"pad_token": "[PAD]", "added_tokens_decoder":
                 {"5": {"content": "<|im_end|>", "special": true},
                  "1200": {"content": "<a>"}, "1300": {"content": "<b>"}}})"}});
  const Tokenizer tokenizer = directory.load();
  const std::string file = directory.file("tokenizer_config.json") + ": ";
  EXPECT_EQ(tokenizer.notes(),
            (std::vector<std::string>{
                file + "/added_tokens_decoder/5: \"<|im_end|>\" has id 2 in tokenizer.json, which "
                       "is followed, not 5",
                file + "/added_tokens_decoder/1300: \"<b>\" is not a token of tokenizer.json; it "
                       "gets the next id, 1201",
                file + "/pad_token: \"[PAD]\" is not a token of tokenizer.json; it gets the next "
                       "id, 1202"}));
  EXPECT_EQ(tokenizer.pad_id(), 1202);
}

TEST(SpecialTokens, InFormsThatTransformersRefusesAreReadAllTheSame) {
  // Objects without a type, as special_tokens_map.json has them.
  const Tokenizer tokenizer =
      ModelDirectory(Files{{"tokenizer_config.json",
                            R"({"eos_token": {"content": "<x>", "rstrip": true},
                                "additional_special_tokens": [{"content": "<y>"}]})"}})
          .load();
  EXPECT_EQ(tokenizer.encode("<x> !<y>"), (std::vector<i32>{1200, 3, 1201}));
  EXPECT_EQ(tokenizer.eos_id(), 1200);
  EXPECT_TRUE(tokenizer.is_special(1201));
}

TEST(SpecialTokens, OfTheWrongTypeAreRefused) {
  const struct {
    std::string file;
    std::string content;
    std::string error;
  } cases[] = {
      {"tokenizer_config.json", R"({"bos_token": 3})",
       "tokenizer_config.json: /bos_token: expected a string, found number"},
      {"tokenizer_config.json", R"({"eos_token": {"content": "</s>", "lstrip": 1}})",
       "tokenizer_config.json: /eos_token/lstrip: expected true or false, found number"},
      {"tokenizer_config.json", R"({"additional_special_tokens": [null]})",
       "tokenizer_config.json: /additional_special_tokens/0: expected a string, found null"},
      {"tokenizer_config.json", R"({"extra_special_tokens": {"a_token": ["<a>"]}})",
       "tokenizer_config.json: /extra_special_tokens/a_token: expected a string, found array"},
      {"tokenizer_config.json", R"({"added_tokens_decoder": {"2": "<|im_end|>"}})",
       "tokenizer_config.json: /added_tokens_decoder/2: expected an object with the token's "
       "content and flags"},
      {"tokenizer_config.json", R"({"added_tokens_decoder": {"two": {"content": "x"}}})",
       "tokenizer_config.json: /added_tokens_decoder/two: \"two\" is not a token's id"},
      {"tokenizer_config.json", "[]", "tokenizer_config.json: expected an object, found array"},
      {"special_tokens_map.json", R"({"eos_token": true})",
       "special_tokens_map.json: /eos_token: expected a string, found boolean"},
      {"added_tokens.json", R"({"<x>": "1200"})",
       "added_tokens.json: /<x>: expected an integer, found string"},
      {"generation_config.json", R"({"eos_token_id": "2"})",
       "generation_config.json: /eos_token_id: expected an integer, found string"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(ModelDirectory(Files{{c.file, c.content}}).error(), c.error) << c.content;
  }
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
                                 {"chat_template.json", R"({"chat_template": "not read"})"}})
                .load()),
      "default=one tools=two ");
  EXPECT_EQ(
      names(ModelDirectory(Files{{"tokenizer_config.json", R"({"chat_template": {"b": "one"}})"}})
                .load()),
      "b=one ");
  EXPECT_EQ(
      names(ModelDirectory(Files{{"chat_template.json", R"({"chat_template": "old"})"}}).load()),
      "default=old ");
  // Files of their own take the place of all that the config has.
  const Files config = {{"tokenizer_config.json",
                         R"({"chat_template": [{"name": "default", "template": "one"},
                                               {"name": "tools", "template": "two"}]})"}};
  const auto with = [&](const Files& more) {
    Files files = config;
    files.insert(more.begin(), more.end());
    return names(ModelDirectory(files).load());
  };
  EXPECT_EQ(with({{"chat_template.jinja", "three"},
                  {"additional_chat_templates/rag.jinja", "four"},
                  {"additional_chat_templates/notes.txt", "no template"}}),
            "default=three rag=four ");
  EXPECT_EQ(with({{"chat_template.jinja", "three"}}), "default=three ");
  EXPECT_EQ(with({{"additional_chat_templates/tool_use.jinja", "four"}}), "tool_use=four ");
  EXPECT_EQ(
      with({{"chat_template.jinja", "three"}, {"additional_chat_templates/default.jinja", "four"}}),
      "default=four ");
  EXPECT_EQ(ModelDirectory(Files{{"chat_template.jinja", "a\xFF"}}).error(),
            "chat_template.jinja: byte 0xff at offset 1 is not UTF-8");
}

/// What Transformers 5.24's special_tokens_map is for the same files.
TEST(TemplateTokens, AreThoseOfTransformers) {
  const auto tokens = [](const Files& files) {
    const Tokenizer tokenizer = ModelDirectory(files).load();
    std::string all;
    for (const auto& [name, text] : tokenizer.template_tokens()) {
      all += name + '=' + text + ' ';
    }
    return all;
  };
  const std::string plain = R"("tokenizer_class": "PreTrainedTokenizerFast")";
  const struct {
    Files files;
    std::string tokens;
  } cases[] = {
      {{}, ""},
      {{{"tokenizer_config.json", "{" + plain + "}"}}, ""},
      // Ids name no token for a template, and null is none.
      {{{"tokenizer_config.json",
         "{" + plain + R"(, "bos_token": null, "eos_token": "<|im_end|>"})"},
        {"config.json", R"({"bos_token_id": 0, "pad_token_id": 0, "model_type": "gpt2"})"},
        {"generation_config.json", R"({"bos_token_id": 0})"}},
       "eos_token=<|im_end|> "},
      {{{"config.json", R"({"bos_token_id": 0, "model_type": "llama"})"}}, ""},
      {{{"tokenizer_config.json", R"({"tokenizer_class": "LlamaTokenizerFast"})"},
        {"config.json", R"({"bos_token_id": 0})"}},
       ""},
      // Tokens that the class brings, which a null takes away.
      {{{"tokenizer_config.json", R"({"tokenizer_class": "Qwen2TokenizerFast"})"}},
       "eos_token=<|endoftext|> pad_token=<|endoftext|> unk_token=<|endoftext|> "},
      {{{"config.json", R"({"model_type": "gpt2"})"}},
       "bos_token=<|endoftext|> eos_token=<|endoftext|> unk_token=<|endoftext|> "},
      {{{"tokenizer_config.json",
         R"({"tokenizer_class": "GPT2Tokenizer", "bos_token": null, "unk_token": "?"})"}},
       "eos_token=<|endoftext|> unk_token=? "},
      {{{"tokenizer_config.json", R"({"bos_token": "!"})"},
        {"config.json", R"({"model_type": "gemma"})"}},
       "bos_token=! eos_token=<eos> mask_token=<mask> pad_token=<pad> unk_token=<unk> "},
      // A model's own tokens: by the ending of their names, or under a key of their own.
      {{{"tokenizer_config.json",
         "{" + plain + R"(, "image_token": "<image>", "mask_token": "[M]", "add_bos_token": true,
           "video_token": {"__type": "AddedToken", "content": "<v>"}, "audio_token": {"content": "<a>"},
           "extra_special_tokens": {"think_token": "<think>", "foo": "<foo>"}})"}},
       "foo=<foo> image_token=<image> mask_token=[M] think_token=<think> video_token=<v> "},
      {{{"tokenizer_config.json", "{" + plain + R"(, "additional_special_tokens": ["<a>", "<b>"],
           "extra_special_tokens": ["<c>"]})"}},
       ""},
      {{{"tokenizer_config.json",
         "{" + plain + R"(, "model_specific_special_tokens": {"boi_token": "<boi>"}})"}},
       "boi_token=<boi> "},
      {{{"tokenizer_config.json", "{" + plain + R"(, "eos_token": {"__type": "AddedToken",
           "content": "<|im_end|>", "lstrip": false}})"}},
       "eos_token=<|im_end|> "},
      // special_tokens_map.json, which counts only beside a config without added_tokens_decoder.
      {{{"tokenizer_config.json",
         "{" + plain + R"(, "bos_token": "<|im_start|>", "eos_token": null})"},
        {"special_tokens_map.json", R"({"bos_token": "!", "eos_token": {"content": "<|im_end|>"},
           "pad_token": null, "image_token": "<img>", "sep_token": "[S]",
           "extra_special_tokens": {"foo": "<foo>"}})"}},
       "bos_token=! eos_token=<|im_end|> foo=<foo> image_token=<img> sep_token=[S] "},
      {{{"tokenizer_config.json", "{" + plain + R"(, "bos_token": "<|im_start|>",
           "added_tokens_decoder": {"0": {"content": "<|endoftext|>"}}})"},
        {"special_tokens_map.json", R"({"bos_token": "!", "eos_token": "<|im_end|>"})"}},
       "bos_token=<|im_start|> "},
      {{{"tokenizer_config.json", "{" + plain + R"(, "bos_token": "<|im_start|>"})"},
        {"special_tokens_map.json", R"({"bos_token": null})"}},
       ""},
  };
  for (const auto& c : cases) {
    std::string files;
    for (const auto& [name, text] : c.files) {
      files += name + ' ' + text + '\n';
    }
    EXPECT_EQ(tokens(c.files), c.tokens) << files;
  }
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
            empty.path() + ": there is no tokenizer.json and no tokenizer.model in this directory");
  EXPECT_EQ(error_of(empty.file("other.json")).substr(0, empty.path().size() + 11),
            empty.file("other.json"));
}

}  // namespace
}  // namespace inlay
