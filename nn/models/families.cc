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

const std::vector<const Family*>& families() {
  static const std::vector<const Family*> rows = {
      &llama_family(), &gpt2_family(), &qwen3_moe_family(), &olmoe_family(), &gpt_oss_family(),
  };
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
    if (!causal && name != family.bare_class) {
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
      return family;
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

DecoderPlan plan_of(const HfConfig& config) {
  const Family& family = family_of(config);
  refuse_other_task(config, family);
  DecoderPlan plan = family.plan(config);
  refuse_foreign_settings(config, family, plan);
  return plan;
}

ModelSizes sizes_of(const HfConfig& config) {
  return plan_of(config).sizes;
}

std::unique_ptr<CausalLM> make_model(const HfConfig& config, WeightSource& weights) {
  return std::make_unique<Decoder>(config.text("model_type"), plan_of(config), weights);
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
  return family.notes != nullptr ? family.notes(config) : std::vector<std::string>();
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
