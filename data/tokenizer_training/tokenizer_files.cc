// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer_training/tokenizer_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

Json byte_level(bool use_regex) {
  return {{"type", "ByteLevel"},
          {"add_prefix_space", false},
          {"trim_offsets", true},
          {"use_regex", use_regex}};
}

Json pre_tokenizer(SplitPattern pattern) {
  if (pattern == SplitPattern::kGpt2) {
    return byte_level(/*use_regex=*/true);
  }
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", expression_of(pattern)}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  return {{"type", "Sequence"},
          {"pretokenizers", Json::array({split, byte_level(/*use_regex=*/false)})}};
}

/// Puts `bos` in front of a text, if there is one.
Json post_processor(const std::string& bos, const std::vector<std::string>& special_tokens) {
  if (bos.empty()) {
    return nullptr;
  }
  const auto id = std::ranges::find(special_tokens, bos) - special_tokens.begin();
  const auto token = [&](int type) {
    return Json{{"SpecialToken", {{"id", bos}, {"type_id", type}}}};
  };
  const auto text = [](const char* name, int type) {
    return Json{{"Sequence", {{"id", name}, {"type_id", type}}}};
  };
  const Json known = {{"id", bos}, {"ids", Json::array({id})}, {"tokens", Json::array({bos})}};
  return {{"type", "TemplateProcessing"},
          {"single", Json::array({token(0), text("A", 0)})},
          {"pair", Json::array({token(0), text("A", 0), token(1), text("B", 1)})},
          {"special_tokens", {{bos, known}}}};
}

std::string quoted(const std::string& text) {
  return nlohmann::json(text).dump();
}

/// Entries, each in a line of its own. By hand, for an ordered object looks through all of its keys
/// for each new one.
class Lines {
 public:
  void add(const std::string& entry) {
    text_ += text_.empty() ? "\n      " : ",\n      ";
    text_ += entry;
  }
  std::string text() const { return text_.empty() ? "" : text_ + "\n    "; }

 private:
  std::string text_;
};

std::string model_json(const TrainedBpe& trained) {
  Lines vocab;
  for (std::size_t id = 0; id < trained.pieces.size(); ++id) {
    vocab.add(quoted(trained.pieces[id]) + ": " + std::to_string(id));
  }
  Lines merges;
  const auto piece = [&](i32 id) { return quoted(trained.pieces[static_cast<std::size_t>(id)]); };
  for (const auto& [left, right] : trained.merges) {
    merges.add("[" + piece(left) + ", " + piece(right) + "]");
  }
  return R"({
    "type": "BPE",
    "dropout": null,
    "unk_token": null,
    "continuing_subword_prefix": null,
    "end_of_word_suffix": null,
    "fuse_unk": false,
    "byte_fallback": false,
    "ignore_merges": false,
    "vocab": {)" +
         vocab.text() + "},\n    \"merges\": [" + merges.text() + "]\n  }";
}

}  // namespace

std::string tokenizer_json(const TrainedBpe& trained,
                           const std::vector<std::string>& special_tokens,
                           const SpecialTokenRoles& roles, SplitPattern pattern) {
  Json added = Json::array();
  for (std::size_t id = 0; id < special_tokens.size(); ++id) {
    added.push_back({{"id", id},
                     {"content", special_tokens[id]},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false},
                     {"normalized", false},
                     {"special", true}});
  }
  const Json before = {{"version", "1.0"},
                       {"truncation", nullptr},
                       {"padding", nullptr},
                       {"added_tokens", added},
                       {"normalizer", nullptr},
                       {"pre_tokenizer", pre_tokenizer(pattern)},
                       {"post_processor", post_processor(roles.bos, special_tokens)},
                       {"decoder", byte_level(/*use_regex=*/true)}};
  std::string text = before.dump(2);
  text.resize(text.rfind("\n}"));
  return text + ",\n  \"model\": " + model_json(trained) + "\n}\n";
}

std::string tokenizer_config_json(const SpecialTokenRoles& roles) {
  Json config = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                 {"clean_up_tokenization_spaces", false}};
  const std::pair<const char*, const std::string&> named[] = {
      {"bos_token", roles.bos}, {"eos_token", roles.eos}, {"pad_token", roles.pad}};
  for (const auto& [key, token] : named) {
    if (!token.empty()) {
      config[key] = token;
    }
  }
  if (!roles.bos.empty()) {
    config["add_bos_token"] = true;
  }
  return config.dump(2) + "\n";
}

}  // namespace inlay
