// SPDX-License-Identifier: Apache-2.0
#include "nn/models/families.h"

#include <algorithm>
#include <initializer_list>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/decoder.h"
#include "nn/models/foreign_settings.h"

namespace inlay {

// Each in the file of its name.
const Family& llama_family();
const Family& gpt2_family();
const Family& qwen3_moe_family();
const Family& olmoe_family();
const Family& gpt_oss_family();
const Family& gemma2_family();
const Family& gemma3_text_family();
const Family& gemma3_family();
const Family& gemma4_text_family();
const Family& gemma4_family();
const Family& cohere2_family();
const Family& glm4_family();
const Family& gpt_neox_family();
const Family& nanochat_family();
const Family& nemotron_family();
const Family& stablelm_family();
const Family& starcoder2_family();
const Family& qwen2_family();
const Family& qwen3_family();
const Family& mistral_family();
const Family& ministral3_family();
const Family& mistral3_family();
const Family& smollm3_family();
const Family& phi3_family();
const Family& granite_family();
const Family& granite_moe_family();
const Family& granite_moe_shared_family();
const Family& granite_hybrid_family();
const Family& hunyuan_family();
const Family& ernie4_5_family();
const Family& olmo2_family();
const Family& olmo3_family();
const Family& exaone4_family();

const std::vector<const Family*>& families() {
  // clang-format off: a line each
  static const std::vector<const Family*> rows = {
      &llama_family(),       &gpt2_family(),
      &qwen2_family(),       &qwen3_family(),
      &mistral_family(),     &ministral3_family(),
      &smollm3_family(),     &phi3_family(),
      &granite_family(),     &granite_hybrid_family(),
      &hunyuan_family(),     &ernie4_5_family(),
      &granite_moe_family(), &granite_moe_shared_family(),
      &mistral3_family(),    &olmo2_family(),
      &olmo3_family(),       &exaone4_family(),
      &qwen3_moe_family(),   &olmoe_family(),
      &gpt_oss_family(),     &gemma2_family(),
      &gemma3_text_family(), &gemma3_family(),
      &gemma4_text_family(), &gemma4_family(),
      &cohere2_family(),     &glm4_family(),
      &gpt_neox_family(),    &nanochat_family(),
      &nemotron_family(),    &stablelm_family(),
      &starcoder2_family(),
  };
  // clang-format on
  return rows;
}

namespace {

// Other tasks have other heads over the same layers, or other layers under the same name.
void refuse_other_task(const HfConfig& config, const Family& family) {
  if (!config.has("architectures") || !config.json()["architectures"].is_array()) {
    return;
  }
  for (const nlohmann::json& entry : config.json()["architectures"]) {
    const std::string name = entry.is_string() ? entry.get<std::string>() : entry.dump();
    const bool causal = std::ranges::any_of(
        std::initializer_list<std::string_view>{"ForCausalLM", "LMHeadModel", "DoubleHeadsModel"},
        [&](std::string_view ending) { return name.ends_with(ending); });
    if (!causal && name != family.causal_class && name != family.bare_class) {
      std::string read;
      for (const Family* row : families()) {
        read += str(read.empty() ? "" : ", ", row->causal_class);
      }
      config.fail(
          "architectures",
          str("\"", printable(name),
              "\" is a model for another task; causal language models are read (", read, ")"));
    }
  }
}

// The entry of `pairs` that `name` is, or starts with before a dot, with its GGUF spelling in
// place.
std::optional<std::string> translate(const std::vector<NamePair>& pairs, std::string_view name) {
  for (const NamePair& pair : pairs) {
    if (name == pair.hf || (name.starts_with(pair.hf) && name[pair.hf.size()] == '.')) {
      return std::string(pair.gguf) + std::string(name.substr(pair.hf.size()));
    }
  }
  return {};
}

}  // namespace

const Family* find_family(std::string_view model_type) {
  for (const Family* family : families()) {
    if (std::ranges::find(family->model_types, model_type) != family->model_types.end()) {
      return family;
    }
  }
  return nullptr;
}

const Family* find_gguf_family(std::string_view architecture) {
  for (const Family* family : families()) {
    if (family->gguf && family->gguf->architecture == architecture) {
      return family;  // the first: its more_settings may say it is another
    }
  }
  return nullptr;
}

const Family& family_of(const HfConfig& config) {
  const std::string type = config.text("model_type");
  if (const Family* family = find_family(type)) {
    return *family;
  }
  const std::vector<std::string> types = model_types();
  std::string known;
  for (const std::string& name : types) {
    known += str(known.empty() ? "" : ", ", name);
  }
  config.fail("model_type", str("\"", printable(type), "\" is not a family inlay knows (", known,
                                ")", did_you_mean(type, types)));
}

namespace {

// A path of a language model, inside a model of several parts.
std::string in_language_model(const std::string& name) {
  constexpr std::string_view kOuter = "model.";
  return name.starts_with(kOuter) ? "model.language_model." + name.substr(kOuter.size()) : name;
}

}  // namespace

Family text_part_of(Family text, const WrapperRow& wrapper) {
  for (std::string* name : {&text.names.embedding, &text.names.positions, &text.names.layers,
                            &text.names.embedding_norm, &text.names.norm}) {
    *name = in_language_model(*name);
  }
  text.article = wrapper.article;
  text.text_alone = text.model_types.front();
  text.model_types = {wrapper.model_type};
  text.causal_class = wrapper.causal_class;
  text.bare_class = wrapper.bare_class;
  text.gguf.reset();  // such files hold the language model alone
  text.default_lora_targets = {};
  text.text_key = "text_config";
  // Transformers 4 kept a whole language model there, head and all.
  text.other_prefixes = {{"model.language_model.", "language_model.model."},
                         {"lm_head.", "language_model.lm_head."}};
  text.other_parts = {"vision_tower.",
                      "multi_modal_projector.",
                      "audio_tower.",
                      "embed_vision.",
                      "embed_audio.",
                      "model.vision_tower.",
                      "model.audio_tower.",
                      "model.multi_modal_projector.",
                      "model.embed_vision.",
                      "model.embed_audio.",
                      "model.visual.",
                      "visual.",
                      "mtp."};
  return text;
}

HfConfig text_config(const HfConfig& config, const Family& family) {
  if (family.text_key.empty()) {
    return config;
  }
  const std::optional<HfConfig> text = config.object(family.text_key);
  if (!text) {
    config.fail(family.text_key, "missing");
  }
  return *text;
}

std::vector<std::string> other_names(const Family& family, std::string_view name) {
  std::vector<std::string> names;
  for (const OtherPrefix& prefix : family.other_prefixes) {
    if (name.starts_with(prefix.memory)) {
      names.push_back(str(prefix.file, name.substr(prefix.memory.size())));
    }
  }
  return names;
}

std::string router_in_memory(const Family& family, const std::string& path) {
  if (!family.router || !path.ends_with(str(".", family.router->file))) {
    return path;
  }
  return str(path.substr(0, path.size() - family.router->file.size()), family.router->memory);
}

bool is_of_other_part(const Family& family, std::string_view tensor) {
  return std::ranges::any_of(family.other_parts,
                             [&](std::string_view prefix) { return tensor.starts_with(prefix); });
}

DecoderPlan plan_of(const HfConfig& config) {
  const Family& family = family_of(config);
  refuse_other_task(config, family);
  const HfConfig text = text_config(config, family);
  DecoderPlan plan = family.plan(text);
  plan.names = family.names;
  if (!family.text_key.empty()) {
    for (std::string* name :
         {&plan.layer_inputs.table, &plan.layer_inputs.projection, &plan.layer_inputs.norm}) {
      *name = in_language_model(*name);
    }
  }
  plan.tied_head = says_tied(config, family);
  refuse_foreign_settings(text, family, plan);
  return plan;
}

ModelSizes sizes_of(const HfConfig& config) {
  return plan_of(config).sizes;
}

std::unique_ptr<CausalLM> make_model(const HfConfig& config, WeightSource& weights) {
  return std::make_unique<DecoderModel>(config.text("model_type"), plan_of(config), weights);
}

bool says_tied(const HfConfig& config, const Family& family) {
  return config.flag("tie_word_embeddings", family.tied_by_default);
}

std::vector<std::string> model_types() {
  std::vector<std::string> types;
  for (const Family* family : families()) {
    types.insert(types.end(), family->model_types.begin(), family->model_types.end());
  }
  std::ranges::sort(types);
  return types;
}

LayerSetting layer_setting(const HfConfig& config) {
  return {family_of(config).layers_key, plan_of(config).sizes.layers};
}

std::vector<std::string> config_notes(const HfConfig& config) {
  const Family& family = family_of(config);
  return family.notes != nullptr ? family.notes(text_config(config, family))
                                 : std::vector<std::string>();
}

std::optional<std::string> gguf_name(const Family& family, std::string_view hf_name) {
  const GgufFamily& gguf = *family.gguf;
  const std::string layers = family.names.layers + ".";
  if (!hf_name.starts_with(layers)) {
    return translate(gguf.outside, hf_name);
  }
  const std::size_t number = layers.size();
  const std::size_t dot = hf_name.find('.', number);
  if (dot == std::string_view::npos) {
    return {};
  }
  const auto part = translate(gguf.in_layer, hf_name.substr(dot + 1));
  return part ? std::optional(str("blk.", hf_name.substr(number, dot - number), ".", *part))
              : std::nullopt;
}

}  // namespace inlay
