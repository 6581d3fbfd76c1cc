// SPDX-License-Identifier: Apache-2.0
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/io/sha256.h"
#include "finetune/resume.h"
#include "finetune/run_sources.h"
#include "tests/support/error_text.h"
#include "tests/support/tiny_models.h"
#include "tests/support/training_run.h"

namespace inlay {
namespace {

namespace fs = std::filesystem;

// A LoRA run over a model folder with a tokenizer of its own and a chat template.
class Sources : public ::testing::Test {
 protected:
  Sources() {
    write_tiny(base(), tiny_llama());
    OrderedJson tokenizer = {
        {"version", "1.0"},
        {"added_tokens", OrderedJson::array()},
        {"pre_tokenizer",
         {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}},
        {"decoder", {{"type", "ByteLevel"}}},
        {"model",
         {{"type", "BPE"},
          {"vocab", {{"a", 0}, {"b", 1}, {"c", 2}, {"d", 3}}},
          {"merges", OrderedJson::array()}}}};
    write_file(base() + "/tokenizer.json", tokenizer.dump());
    write_file(base() + "/tokenizer_config.json", std::string_view("{}"));
    write_file(base() + "/chat_template.jinja",
               std::string_view("{% for m in messages %}{{ m.content }}{% endfor %}"));
    write_lines(temp_.file("rows.jsonl"), {{{"prompt", "ab"}, {"completion", "cd"}},
                                           {{"prompt", "ba"}, {"completion", "dc"}}});
    write_lines(temp_.file("ids.jsonl"), {{{"input_ids", {1, 2, 3, 4}}}});
  }

  std::string base() const { return temp_.file("base"); }

  OrderedJson config(const std::string& rows = "rows.jsonl") const {
    return {{"model", {{"model_name_or_path", base()}}},
            {"peft", {{"r", 2}}},
            {"data", {{"train", temp_.file(rows)}}},
            {"training", {{"max_steps", 4}, {"learning_rate", 0.01}}},
            {"save", {{"output_dir", temp_.file("run")}, {"save_steps", 2}}},
            {"runtime", {{"threads", 1}}}};
  }

  void train(const OrderedJson& json, const TrainOptions& options = {}, i64 stop_after = 0) const {
    RecordingListener listener(stop_after);
    run_training(read_run_config(temp_, json), options, listener);
  }
  std::string resume_error(const OrderedJson& json) const {
    return error_text<DataError>([&] { train(json, {.resume = "last"}); });
  }

  TempDirectory temp_;
};

std::string with_byte_flipped(std::string text) {
  text[text.size() - 2] = static_cast<char>(text[text.size() - 2] ^ 1);
  return text;
}

TEST_F(Sources, AResumedRunMustFindThemAsTheyWere) {
  const struct {
    const char* file;
    std::string (*change)(std::string);
    const char* kept;
  } cases[] = {
      {"model.safetensors", with_byte_flipped, "base model"},
      {"config.json",
       [](std::string text) {
         OrderedJson json = OrderedJson::parse(text);
         json["rms_norm_eps"] = 2e-5;
         return json.dump();
       },
       "base model"},
      {"config.json", [](std::string text) { return text + "\n"; }, "base model"},
      {"tokenizer.json",
       [](std::string text) {
         OrderedJson json = OrderedJson::parse(text);
         json["model"]["vocab"] = {{"a", 1}, {"b", 0}, {"c", 2}, {"d", 3}};
         return json.dump();
       },
       "tokenizer"},
      {"tokenizer_config.json", [](std::string) { return std::string("{ }"); }, "tokenizer"},
      {"chat_template.jinja", [](std::string text) { return text + " "; }, "chat template"},
  };
  train(config(), {}, 2);
  for (const auto& c : cases) {
    const std::string path = base() + "/" + c.file;
    const std::string before = read_text(path);
    write_file(path, c.change(before));
    EXPECT_EQ(resume_error(config()),
              str(path,
                  ": the file has changed since the run began (its SHA-256 is another); a "
                  "resumed run must keep its ",
                  c.kept));
    write_file(path, before);
  }
  train(config(), {.resume = "last"});  // written anew, with the content they had
}

TEST_F(Sources, AResumedRunReadsNoMoreAndNoFewerFiles) {
  train(config(), {}, 2);
  const std::string more = base() + "/special_tokens_map.json";
  write_file(more, std::string_view("{}"));
  EXPECT_EQ(resume_error(config()), more +
                                        ": the file was not there when the run began, and is read "
                                        "now; a resumed run must keep its tokenizer");
  file_system().remove(more);
  const std::string fewer = base() + "/chat_template.jinja";
  file_system().remove(fewer);
  EXPECT_EQ(resume_error(config()),
            fewer +
                ": the run began with this file, which is gone; a resumed run must keep its "
                "chat template");
}

TEST_F(Sources, RowsOfIdsNeedNoTokenizer) {
  train(config("ids.jsonl"), {}, 2);
  write_file(base() + "/tokenizer_config.json", std::string_view("{ }"));
  file_system().remove(base() + "/chat_template.jinja");
  train(config("ids.jsonl"), {.resume = "last"});
}

// The time of the last write can be set back, that of the last change cannot.
TEST_F(Sources, AForgedTimeHidesNoChange) {
  train(config(), {}, 2);
  const std::string path = base() + "/model.safetensors";
  const auto time = fs::last_write_time(path);
  const std::string before = read_text(path);
  write_file(path, with_byte_flipped(before));
  fs::last_write_time(path, time);
  EXPECT_NE(resume_error(config()).find("model.safetensors: the file has changed"),
            std::string::npos);
}

TEST_F(Sources, ATemplateAndATokenizerByNameAreSourcesToo) {
  fs::copy(base(), temp_.file("words"));
  write_file(temp_.file("chat.jinja"), std::string_view("{{ messages[0].content }}"));
  OrderedJson json = config();
  json["model"]["tokenizer"] = temp_.file("words");
  json["model"]["chat_template"] = temp_.file("chat.jinja");
  train(json, {}, 2);
  write_file(base() + "/tokenizer_config.json", std::string_view("{ }"));  // not read any more
  for (const auto& [path, kept] : {std::pair(temp_.file("words/tokenizer.json"), "tokenizer"),
                                   std::pair(temp_.file("chat.jinja"), "chat template")}) {
    const std::string before = read_text(path);
    write_file(path, before + " ");
    EXPECT_EQ(resume_error(json), str(path,
                                      ": the file has changed since the run began (its SHA-256 "
                                      "is another); a resumed run must keep its ",
                                      kept));
    write_file(path, before);
  }
  train(json, {.resume = "last"});
}

TEST_F(Sources, TheManifestNamesWhatWasUsedAsItWasThen) {
  train(config());
  fs::rename(temp_.file("run"), temp_.file("first"));
  OrderedJson json = config();
  json["peft"]["init_from"] = temp_.file("first/adapter");
  json["data"]["validation"] = temp_.file("ids.jsonl");
  const std::string adapter = read_text(temp_.file("first/adapter/adapter_model.safetensors"));
  const std::string rows = read_text(temp_.file("rows.jsonl"));
  train(json, {}, 2);
  // By the end of the run the adapter is another, which a resumed run does not read for its
  // numbers.
  fs::copy_file(temp_.file("run/checkpoints/step-2/adapter_model.safetensors"),
                temp_.file("first/adapter/adapter_model.safetensors"),
                fs::copy_options::overwrite_existing);
  train(json, {.resume = "last"});
  const OrderedJson manifest = OrderedJson::parse(read_text(temp_.file("run/manifest.json")));
  const auto digest_of = [&](const char* section, const std::string& path) -> std::string {
    for (const OrderedJson& file : manifest.at(section)) {
      if (file["path"] == path) {
        return file["sha256"];
      }
    }
    return "not named";
  };
  const auto hash = [](const std::string& text) {
    return sha256_hex(std::as_bytes(std::span(text)));
  };
  for (const auto& [section, name] :
       {std::pair("base", "config.json"), std::pair("base", "model.safetensors"),
        std::pair("tokenizer", "tokenizer.json"), std::pair("tokenizer", "tokenizer_config.json"),
        std::pair("chat_template", "chat_template.jinja")}) {
    const std::string path = base() + "/" + name;
    EXPECT_EQ(digest_of(section, path), hash(read_text(path))) << name;
  }
  EXPECT_EQ(digest_of("adapter", temp_.file("first/adapter/adapter_model.safetensors")),
            hash(adapter));
  EXPECT_EQ(manifest["data"]["train"]["sha256"], hash(rows));
  EXPECT_EQ(manifest["data"]["train"]["bytes"], rows.size());
  EXPECT_EQ(manifest["data"]["validation"]["path"], temp_.file("ids.jsonl"));
  EXPECT_EQ(manifest["output"].size(), 2U);
}

TEST_F(Sources, AnOlderRunWithoutNewerKeysIsTheSameRun) {
  train(config(), {}, 2);
  const std::string path = temp_.file("run/config.resolved.json");
  OrderedJson settings = OrderedJson::parse(read_text(path));
  settings["training"].erase("adam_beta2");
  settings["data"].erase("shuffle");
  settings["peft"].erase("use_rslora");
  settings.erase("quantization");
  write_file(path, settings.dump());
  OrderedJson other = config();
  other["data"]["shuffle"] = false;  // no default
  EXPECT_EQ(error_text<ConfigError>([&] { train(other, {.resume = "last"}); }),
            path +
                ": /data/shuffle: the run was started with true, and now it is false; a resumed "
                "run must keep its settings");
  train(config(), {.resume = "last"});
}

}  // namespace
}  // namespace inlay
