// SPDX-License-Identifier: Apache-2.0
#include "finetune/resume.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/config/json.h"
#include "core/config/writer.h"
#include "core/error.h"
#include "core/io/file_system.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

constexpr i64 kMaxConfigBytes = 16 << 20;
// Sections that touch no number of the run: they may be another after a resume.
constexpr const char* kFree[] = {"logging", "eval", "save", "runtime"};

// Every key there is, at its default.
Json defaults() {
  RunConfig config;
  config.peft.emplace();
  config.quantization.emplace();
  return Json::parse(config_text(config));
}

// Adds to `before` the keys of objects in it that only `all` has.
void add_missing(Json& before, const Json& all) {
  for (const auto& [key, value] : all.items()) {
    if (!before.contains(key)) {
      before[key] = value;
    } else if (before[key].is_object() && value.is_object()) {
      add_missing(before[key], value);
    }
  }
}

// The first place where two documents differ, as a JSON pointer, with both values.
std::string difference(const Json& before, const Json& now, const std::string& pointer) {
  if (before == now) {
    return "";
  }
  if (!before.is_object() || !now.is_object()) {
    return str(pointer, ": the run was started with ", printable(before.dump()), ", and now it is ",
               printable(now.dump()));
  }
  for (const auto& [key, value] : now.items()) {
    const auto it = before.find(key);
    std::string found =
        difference(it == before.end() ? Json() : *it, value, str(pointer, "/", key));
    if (!found.empty()) {
      return found;
    }
  }
  for (const auto& [key, value] : before.items()) {
    if (!now.contains(key)) {
      return difference(value, Json(), str(pointer, "/", key));
    }
  }
  return "";
}

// Before there was a choice, the processor's instruction multiplied bf16 where it had one.
void name_bf16_products(Json& before) {
  Json& training = before["training"];
  if (training.is_object() && training.value("compute_dtype", Json()) != "f32") {
    training.emplace("bf16_products", choice_name(Bf16Products::kNative));
  }
}

// Where the config says "auto", what the run began with.
template <class T>
void keep_choice(const Json& training, const char* key, AutoOr<T>& value) {
  const Json before = training.value(key, Json());
  if (value.is_auto() && before.is_string()) {
    value.value = find_choice<T>(before.get<std::string>());
  }
}

}  // namespace

void check_same_run(const std::string& file, const RunConfig& config) {
  if (!is_file(file)) {
    throw ConfigError(
        str(parent_path(file), ": there is no run to resume (it has no ", base_name(file), ")"));
  }
  Json before = parse_ordered_json(file_system().read(file, kMaxConfigBytes), file);
  if (before.is_object()) {
    for (const char* section : {"peft", "quantization"}) {  // not there means none
      before.emplace(section, nullptr);
    }
    // Before there was a choice, all parameters decayed.
    if (Json& training = before["training"];
        training.is_object() && training.value("weight_decay", Json(0.0)) != 0.0) {
      training.emplace("weight_decay_on", "all");
    }
    name_bf16_products(before);
    // Keys that the version which began the run did not know: it did what is now their default.
    add_missing(before, defaults());
  }
  // Written as the file was, so that the same path is the same text from wherever the command is
  // called.
  const Json now = Json::parse(config_text(config, {.directory = parent_path(file)}));
  for (const auto& [section, value] : now.items()) {
    if (std::ranges::find(kFree, section) != std::end(kFree)) {
      continue;
    }
    const auto it = before.find(section);
    const std::string found = difference(it == before.end() ? Json() : *it, value, "/" + section);
    if (!found.empty()) {
      throw ConfigError(str(file, ": ", found, "; a resumed run must keep its settings"));
    }
  }
}

void keep_recomputation(const std::string& file, RunConfig& config) {
  TrainingConfig& training = config.training;
  // Where the user says which, check_same_run() compares it as any other setting.
  if (!training.gradient_checkpointing.is_auto() || !is_file(file)) {
    return;
  }
  const Json before = parse_ordered_json(file_system().read(file, kMaxConfigBytes), file);
  const Json& section = before.contains("training") ? before["training"] : Json::object();
  const Json kind = section.value("gradient_checkpointing", Json());
  const Json layers = section.value("gradient_checkpointing_layers", Json());
  if (kind.is_string()) {
    training.gradient_checkpointing.value = find_choice<Recompute>(kind.get<std::string>());
  }
  if (layers.is_number_integer()) {
    training.gradient_checkpointing_layers = layers.get<i64>();
  }
}

void keep_arithmetic(const std::string& file, RunConfig& config) {
  if (!is_file(file)) {
    return;
  }
  Json before = parse_ordered_json(file_system().read(file, kMaxConfigBytes), file);
  if (!before.is_object() || !before.contains("training") || !before["training"].is_object()) {
    return;
  }
  name_bf16_products(before);
  TrainingConfig& training = config.training;
  keep_choice(before["training"], "compute_dtype", training.compute_dtype);
  keep_choice(before["training"], "bf16_products", training.bf16_products);
  keep_choice(before["training"], "activation_dtype", training.activation_dtype);
}

void keep_template_date(const std::string& file, RunConfig& config) {
  if (config.model.template_date || !is_file(file)) {
    return;
  }
  const Json before = parse_ordered_json(file_system().read(file, kMaxConfigBytes), file);
  const Json& section = before.contains("model") ? before["model"] : Json::object();
  if (const Json date = section.value("template_date", Json()); date.is_string()) {
    config.model.template_date = date.get<std::string>();
  }
}

void check_same_data(const DataConfig& config, const DataDigests& before, const DataDigests& now) {
  if (before == now) {
    return;
  }
  throw DataError(str(before.train != now.train ? *config.train : *config.validation,
                      ": the file has changed since the run began (its SHA-256 is another); a "
                      "resumed run must keep its data"));
}

}  // namespace inlay
