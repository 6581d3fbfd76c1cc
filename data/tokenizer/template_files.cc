// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/template_files.h"

#include <algorithm>
#include <string_view>
#include <utility>
#include <vector>

#include "core/io/file_system.h"
#include "data/text/utf8.h"
#include "data/tokenizer/json_view.h"

namespace inlay {
namespace {

/// Chat templates are a few kilobytes.
constexpr i64 kMaxTemplate = i64{16} << 20;

/// The names that may have a token in every model; others are a model's own.
constexpr std::string_view kStandardTokens[] = {"bos_token", "eos_token", "unk_token", "sep_token",
                                                "pad_token", "cls_token", "mask_token"};

/// What the tokenizer classes of Transformers set where the files say nothing. The others set
/// nothing: Mistral, Llama, Phi 3, Granite, OLMo 2 and 3, ERNIE 4.5, EXAONE 4, GLM 4, SmolLM 3,
/// Gemma 4, gpt-oss and all else that AutoTokenizer reads from tokenizer.json alone.
struct ClassTokens {
  std::string_view name;  // without the ending "Fast", which older files have
  std::vector<std::string_view> model_types;
  std::vector<std::pair<std::string_view, std::string_view>> tokens;
};

const std::vector<ClassTokens>& class_tokens() {
  static const std::vector<ClassTokens> table = {
      {"GPT2Tokenizer",
       {"gpt2", "gpt_neo", "gptj", "opt", "phi", "starcoder2", "codegen", "dbrx"},
       {{"bos_token", "<|endoftext|>"},
        {"eos_token", "<|endoftext|>"},
        {"unk_token", "<|endoftext|>"}}},
      {"Qwen2Tokenizer",
       {"qwen2", "qwen2_moe", "qwen2_vl", "qwen2_5_vl", "qwen3", "qwen3_moe", "qwen3_next",
        "qwen3_vl", "qwen3_vl_moe"},
       {{"eos_token", "<|endoftext|>"},
        {"unk_token", "<|endoftext|>"},
        {"pad_token", "<|endoftext|>"}}},
      {"Qwen3_5Tokenizer",
       {"qwen3_5"},
       {{"eos_token", "<|endoftext|>"},
        {"unk_token", "<|endoftext|>"},
        {"pad_token", "<|endoftext|>"}}},
      {"GPTNeoXTokenizer",
       {"gpt_neox", "olmo", "olmoe", "mpt", "mamba", "mamba2", "falcon_mamba", "rwkv"},
       {{"bos_token", "<|endoftext|>"},
        {"eos_token", "<|endoftext|>"},
        {"unk_token", "<|endoftext|>"},
        {"pad_token", "<|padding|>"}}},
      {"CohereTokenizer",
       {"cohere", "cohere2", "aya_vision"},
       {{"bos_token", "<BOS_TOKEN>"},
        {"eos_token", "<|END_OF_TURN_TOKEN|>"},
        {"unk_token", "<UNK>"},
        {"sep_token", "<SEP>"},
        {"pad_token", "<PAD>"},
        {"cls_token", "<CLS>"},
        {"mask_token", "<MASK_TOKEN>"}}},
      {"GemmaTokenizer",
       {"gemma", "gemma2", "gemma3", "gemma3_text", "gemma3n", "gemma3n_text", "recurrent_gemma"},
       {{"bos_token", "<bos>"},
        {"eos_token", "<eos>"},
        {"unk_token", "<unk>"},
        {"pad_token", "<pad>"},
        {"mask_token", "<mask>"}}},
  };
  return table;
}

class TemplateFileReader {
 public:
  TemplateFileReader(const std::string& directory, TokenizerParts& parts)
      : directory_(directory), parts_(parts) {}

  void read() {
    bool has_added_tokens = false;
    std::string tokenizer_class;
    with_json_file(directory_, "tokenizer_config.json", [&](const JsonView& root) {
      has_added_tokens = root.find("added_tokens_decoder").has_value();
      if (const auto name = root.find("tokenizer_class")) {
        tokenizer_class = name->string();
      }
      read_config_templates(root);
    });
    set_class_tokens(tokenizer_class);
    with_json_file(directory_, "tokenizer_config.json",
                   [&](const JsonView& root) { read_tokens(root); });
    if (!has_added_tokens) {
      with_json_file(directory_, "special_tokens_map.json",
                     [&](const JsonView& root) { read_tokens(root); });
    }
    read_files();
    if (parts_.chat_templates.empty()) {
      with_json_file(directory_, "chat_template.json",
                     [&](const JsonView& root) { read_config_templates(root); });
    }
  }

 private:
  void set_class_tokens(std::string_view name) {
    std::string model_type;
    if (name.empty()) {
      with_json_file(directory_, "config.json", [&](const JsonView& root) {
        if (const auto type = root.find("model_type"); type && type->is_string()) {
          model_type = type->string();
        }
      });
    }
    if (name.ends_with("Fast")) {
      name.remove_suffix(std::string_view("Fast").size());
    }
    for (const ClassTokens& row : class_tokens()) {
      if (row.name == name || std::ranges::count(row.model_types, model_type) != 0) {
        for (const auto& [key, text] : row.tokens) {
          parts_.template_tokens[std::string(key)] = text;
        }
      }
    }
  }

  void read_tokens(const JsonView& root) {
    for (const auto& [key, value] : root.json().items()) {
      const bool standard = std::ranges::count(kStandardTokens, key) != 0;
      if (value.is_null() && standard) {
        parts_.template_tokens.erase(key);
      } else if (standard || (key.ends_with("_token") && (value.is_string() || is_token(value)))) {
        set_token(key, root.at(key));
      }
    }
    for (const char* section : {"extra_special_tokens", "model_specific_special_tokens"}) {
      const auto named = root.find(section);
      if (named && named->is_object()) {
        named->each_member([&](const std::string& key, const JsonView& v) { set_token(key, v); });
      }
    }
  }

  /// A token with its flags as Transformers wrote it. The type sets it apart from other settings
  /// whose name ends in "_token".
  static bool is_token(const nlohmann::json& value) {
    return value.is_object() && value.contains("content") &&
           value.value("__type", "") == std::string("AddedToken");
  }

  void set_token(const std::string& key, const JsonView& value) {
    parts_.template_tokens[key] = value.is_object() ? value.at("content").string() : value.string();
  }

  void read_config_templates(const JsonView& root) {
    const auto value = root.find("chat_template");
    if (!value) {
      return;
    }
    if (value->is_array()) {
      value->each_element([&](const JsonView& json) {
        set_template(json.at("name").string(), json.at("template").string());
      });
    } else if (value->is_object()) {
      value->each_member([&](const std::string& name, const JsonView& json) {
        set_template(name, json.string());
      });
    } else {
      set_template("default", value->string());
    }
  }

  void read_files() {
    std::vector<NamedTemplate> from_config = std::exchange(parts_.chat_templates, {});
    read_file("chat_template.jinja", "default");
    const std::string folder = "additional_chat_templates";
    if (is_directory(join_path(directory_, folder))) {
      constexpr std::string_view kSuffix = ".jinja";
      for (const std::string& file : file_system().list(join_path(directory_, folder))) {
        if (file.size() > kSuffix.size() && file.ends_with(kSuffix)) {
          read_file(join_path(folder, file), file.substr(0, file.size() - kSuffix.size()));
        }
      }
    }
    if (parts_.chat_templates.empty()) {
      parts_.chat_templates = std::move(from_config);
    }
  }

  void read_file(const std::string& file, const std::string& name) {
    const std::string path = join_path(directory_, file);
    if (is_file(path)) {
      const std::string text = file_system().read(path, kMaxTemplate);
      check_utf8(text, path);
      set_template(name, text);
    }
  }

  /// The last of a name wins.
  void set_template(const std::string& name, const std::string& text) {
    auto& templates = parts_.chat_templates;
    const auto found =
        std::ranges::find_if(templates, [&](const NamedTemplate& t) { return t.name == name; });
    if (found == templates.end()) {
      templates.push_back({name, text});
    } else {
      found->text = text;
    }
  }

  const std::string& directory_;
  TokenizerParts& parts_;
};

}  // namespace

void read_template_files(const std::string& directory, TokenizerParts& parts) {
  TemplateFileReader(directory, parts).read();
}

}  // namespace inlay
