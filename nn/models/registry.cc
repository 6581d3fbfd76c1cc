// SPDX-License-Identifier: Apache-2.0
#include "nn/models/registry.h"

#include "core/error.h"
#include "nn/models/gpt2.h"
#include "nn/models/llama.h"

namespace inlay {
namespace {

struct Family {
  const char* model_type;
  std::unique_ptr<CausalLM> (*make)(const HfConfig& config, WeightSource& weights);
};

constexpr Family kFamilies[] = {
    {"gpt2", [](const HfConfig& c, WeightSource& w) { return make_gpt2(parse_gpt2_config(c), w); }},
    {"llama",
     [](const HfConfig& c, WeightSource& w) { return make_llama(parse_llama_config(c), w); }},
};

}  // namespace

std::vector<std::string> model_families() {
  std::vector<std::string> names;
  for (const Family& family : kFamilies) {
    names.emplace_back(family.model_type);
  }
  return names;
}

std::unique_ptr<CausalLM> make_model(const HfConfig& config, WeightSource& weights) {
  const std::string type = config.text("model_type");
  for (const Family& family : kFamilies) {
    if (type == family.model_type) {
      return family.make(config, weights);
    }
  }
  std::string known;
  for (const std::string& name : model_families()) {
    known += (known.empty() ? "" : ", ") + name;
  }
  config.fail("model_type", str("\"", printable(type), "\" is not a family inlay knows (", known,
                                ")", did_you_mean(type, model_families())));
}

}  // namespace inlay
