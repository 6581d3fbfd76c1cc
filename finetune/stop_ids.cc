// SPDX-License-Identifier: Apache-2.0
#include "finetune/stop_ids.h"

#include <nlohmann/json.hpp>

#include "core/config/json.h"
#include "core/io/file_system.h"
#include "data/tokenizer/json_view.h"

namespace inlay {
namespace {

// Ids of config.json that are no tokens are said with its other ids (model_checks.h).
void read_stops(const JsonView& root, i64 vocab_size, bool noted, ModelStops& stops) {
  const auto add = [&](const JsonView& json) {
    const i64 id = json.integer();
    if (id >= 0 && id < vocab_size) {
      stops.ids.push_back(static_cast<i32>(id));
    } else if (noted) {
      stops.notes.push_back(str(json.path(), ": the model has tokens from 0 to ", vocab_size - 1,
                                ", not ", id, "; it is not used"));
    }
  };
  const auto value = root.find("eos_token_id");
  if (value && value->is_array()) {
    value->each_element(add);
  } else if (value) {
    add(*value);
  }
}

}  // namespace

ModelStops read_model_stops(const HfConfig& config, const std::string& directory, i64 vocab_size) {
  ModelStops stops;
  const std::string generation = join_path(directory, "generation_config.json");
  if (!directory.empty() && is_file(generation)) {
    const nlohmann::json json = read_json(generation);
    read_stops(JsonView(json, generation), vocab_size, true, stops);
  }
  const JsonView root(config.json(), config.file());
  if (stops.ids.empty()) {
    read_stops(root, vocab_size, false, stops);
  }
  const auto text = root.find("text_config");
  if (stops.ids.empty() && text && text->is_object()) {
    read_stops(*text, vocab_size, false, stops);
  }
  return stops;
}

}  // namespace inlay
