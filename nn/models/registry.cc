// SPDX-License-Identifier: Apache-2.0
#include "nn/models/registry.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>

#include "core/error.h"
#include "nn/models/gpt2.h"
#include "nn/models/llama.h"

namespace inlay {
namespace {

struct Family {
  const char* model_type;
  const char* bare_model;  // the class without a head, whose checkpoints are read too
  const char* layers_key;
  std::optional<i64> usual_layers;
  std::unique_ptr<CausalLM> (*make)(const HfConfig& config, WeightSource& weights);
  std::vector<std::string> (*notes)(const HfConfig& config);
};

constexpr Family kFamilies[] = {
    {"gpt2", "GPT2Model", "n_layer", 12,
     [](const HfConfig& c, WeightSource& w) { return make_gpt2(parse_gpt2_config(c), w); },
     [](const HfConfig& /*config*/) { return std::vector<std::string>(); }},
    {"llama", "LlamaModel", "num_hidden_layers", std::nullopt,
     [](const HfConfig& c, WeightSource& w) { return make_llama(parse_llama_config(c), w); },
     llama_notes},
};

const Family& family_of(const HfConfig& config) {
  const std::string type = config.text("model_type");
  std::string known;
  for (const Family& family : kFamilies) {
    if (type == family.model_type) {
      return family;
    }
    known += str(known.empty() ? "" : ", ", family.model_type);
  }
  config.fail("model_type", str("\"", printable(type), "\" is not a family inlay knows (", known,
                                ")", did_you_mean(type, model_families())));
}

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
    if (!causal && name != family.bare_model) {
      config.fail("architectures", str("\"", printable(name),
                                       "\" is a model for another task; causal language models are "
                                       "read (LlamaForCausalLM, GPT2LMHeadModel)"));
    }
  }
}

}  // namespace

std::vector<std::string> model_families() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) {
    names.emplace_back(family.model_type);
  }
  return names;
}

std::unique_ptr<CausalLM> make_model(const HfConfig& config, WeightSource& weights) {
  const Family& family = family_of(config);
  refuse_other_task(config, family);
  return family.make(config, weights);
}

LayerSetting layer_setting(const HfConfig& config) {
  const Family& family = family_of(config);
  return {family.layers_key, config.layers(family.layers_key, family.usual_layers)};
}

std::vector<std::string> config_notes(const HfConfig& config) {
  return family_of(config).notes(config);
}

}  // namespace inlay
