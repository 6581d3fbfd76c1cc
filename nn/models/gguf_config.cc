// SPDX-License-Identifier: Apache-2.0
#include "nn/models/gguf_config.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "nn/models/families.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

const Family& gguf_family_of(const GgufFile& file) {
  const std::string architecture(file.get_string("general.architecture"));
  if (const Family* family = find_gguf_family(architecture)) {
    return *family;
  }
  std::string known;
  for (const Family* family : families()) {
    // Two families may share one.
    if (family->gguf && find_gguf_family(family->gguf->architecture) == family) {
      known += str(known.empty() ? "" : ", ", family->gguf->architecture);
    }
  }
  throw DataError(str(file.path(), ": \"general.architecture\": \"", printable(architecture),
                      "\" is not an architecture inlay knows (", known, ")"));
}

i64 vocabulary(const GgufFile& file) {
  const GgufTensor& table = file.tensor("token_embd.weight");
  if (table.shape.size() != 2) {
    throw DataError(
        str(file.path(), ": \"token_embd.weight\": expected two axes, found ", table.shape.size()));
  }
  return table.shape[0];
}

void write_token_ids(const GgufFile& file, Json& config) {
  constexpr std::pair<const char*, const char*> kIds[] = {{"bos", "bos_token_id"},
                                                          {"eos", "eos_token_id"},
                                                          {"unknown", "unk_token_id"},
                                                          {"padding", "pad_token_id"}};
  for (const auto& [name, key] : kIds) {
    const auto id = file.find_int(str("tokenizer.ggml.", name, "_token_id"));
    // Old converters wrote -1, as a u32 too, where there is none.
    if (id && *id >= 0 && *id != std::numeric_limits<u32>::max()) {
      config[key] = *id;
    }
  }
}

}  // namespace

i64 GgufKeys::integer(const std::string& name) const {
  const std::optional<i64> alike = same_in_every_layer(name);
  return alike ? *alike : file_.get_int(prefix_ + name);
}

i64 GgufKeys::integer(const std::string& name, i64 otherwise) const {
  return has(name) ? integer(name) : otherwise;
}

std::optional<std::vector<i64>> GgufKeys::integers(const std::string& name) const {
  const GgufValue* value = file_.find(prefix_ + name);
  const bool listed = value != nullptr && std::holds_alternative<GgufArray>(*value);
  return listed ? file_.find_ints(prefix_ + name) : std::nullopt;
}

void GgufKeys::fail(const std::string& name, const std::string& complaint) const {
  throw DataError(str(file_.path(), ": \"", prefix_, name, "\": ", complaint));
}

// Some writers give a list with one number a layer; here all layers are alike.
std::optional<i64> GgufKeys::same_in_every_layer(const std::string& name) const {
  const GgufValue* value = file_.find(prefix_ + name);
  if (value == nullptr || !std::holds_alternative<GgufArray>(*value)) {
    return {};
  }
  const std::vector<i64> layers = *file_.find_ints(prefix_ + name);
  if (layers.empty() || std::ranges::any_of(layers, [&](i64 x) { return x != layers[0]; })) {
    fail(name, "layers that differ from one another are not supported");
  }
  return layers[0];
}

void write_gguf_window(const GgufKeys& keys, i64 full_every, i64 otherwise, Json& config) {
  const i64 window = keys.integer("attention.sliding_window", otherwise);
  const i64 layers =
      std::min<i64>(config["num_hidden_layers"].get<i64>(), 1 << 13);  // more are refused anyway
  config["sliding_window"] = window > 0 ? Json(window) : Json();
  constexpr const char* kPattern = "attention.sliding_window_pattern";
  std::vector<i64> sliding = keys.integers(kPattern).value_or(std::vector<i64>{});
  if (sliding.empty()) {
    const i64 every = keys.has(kPattern) ? keys.integer(kPattern) : full_every;
    if (every < 1) {
      keys.fail(kPattern, str("expected a number from 1, found ", every));
    }
    for (i64 i = 0; i < layers; ++i) {
      sliding.push_back((i + 1) % every != 0 ? 1 : 0);
    }
  }
  config["layer_types"] = Json::array();
  for (const i64 slides : sliding) {
    config["layer_types"].push_back(slides != 0 && window > 0 ? "sliding_attention"
                                                              : "full_attention");
  }
}

HfConfig gguf_config(const GgufFile& file) {
  const std::string kind(file.find_string("general.type").value_or("model"));
  if (kind != "model") {
    throw DataError(str(file.path(), ": \"general.type\": expected \"model\", found \"",
                        printable(kind), "\""));
  }
  const Family& family = gguf_family_of(file);
  const GgufKeys keys(file, family.gguf->architecture);
  Json config;
  config["model_type"] = family.model_types.front();
  config["architectures"] = {family.causal_class};
  config["vocab_size"] = vocabulary(file);
  for (const GgufSetting& setting : family.gguf->settings) {
    if (setting.kind == GgufSetting::kInteger) {
      config[setting.hf] = keys.integer(setting.gguf);
    } else {
      config[setting.hf] = keys.number(setting.gguf);
    }
  }
  config["tie_word_embeddings"] = file.find_tensor("output.weight") == nullptr;
  if (family.gguf->more_settings != nullptr) {
    family.gguf->more_settings(keys, config);
  }
  write_token_ids(file, config);
  return HfConfig(config, file.path());
}

}  // namespace inlay
