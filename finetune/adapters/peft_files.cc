// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/peft_files.h"

#include <algorithm>
#include <cmath>
#include <cstring>
#include <map>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/config/json.h"
#include "core/config/reader.h"
#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/safetensors.h"
#include "core/io/shape_text.h"
#include "finetune/config/check.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

constexpr std::string_view kPrefix = "base_model.model.";
constexpr i64 kMostConfigBytes = 16 << 20;

Json number(double value) {
  // PEFT writes alpha as an integer where it is one.
  return value == std::floor(value) && std::abs(value) < 1e15 ? Json(static_cast<i64>(value))
                                                              : Json(value);
}

Json text_or_list(const StringOrList& value) {
  return std::visit([](const auto& v) { return Json(v); }, value);
}

// Keys sorted and two spaces deep, as PEFT writes them.
std::string config_text(const Adapter& adapter, const std::string& base_model) {
  const PeftConfig& c = adapter.config;
  Json json;
  json["peft_type"] = "LORA";
  json["task_type"] = "CAUSAL_LM";
  json["auto_mapping"] = nullptr;
  json["base_model_name_or_path"] = base_model;
  json["revision"] = nullptr;
  json["inference_mode"] = true;
  json["r"] = c.r;
  json["lora_alpha"] = number(c.lora_alpha);
  json["lora_dropout"] = c.lora_dropout;
  json["target_modules"] = text_or_list(c.target_modules);
  json["exclude_modules"] = c.exclude_modules ? text_or_list(*c.exclude_modules) : Json();
  json["fan_in_fan_out"] = adapter.fan_in_fan_out;
  json["bias"] = "none";
  json["use_rslora"] = c.use_rslora;
  json["use_dora"] = c.use_dora;
  json["modules_to_save"] = c.modules_to_save.empty() ? Json() : Json(c.modules_to_save);
  json["init_lora_weights"] =
      std::visit([](const auto& v) { return Json(v); }, c.init_lora_weights);
  json["layers_to_transform"] = c.layers_to_transform ? Json(*c.layers_to_transform) : Json();
  json["layers_pattern"] = c.layers_pattern ? text_or_list(*c.layers_pattern) : Json();
  json["loftq_config"] = Json::object();
  json["megatron_config"] = nullptr;
  json["megatron_core"] = "megatron.core";
  // In the patterns the first match counts, so their order stays.
  nlohmann::ordered_json ranks = nlohmann::ordered_json::object();
  for (const auto& [pattern, rank] : c.rank_pattern) {
    ranks[pattern] = rank;
  }
  nlohmann::ordered_json alphas = nlohmann::ordered_json::object();
  for (const auto& [pattern, alpha] : c.alpha_pattern) {
    alphas[pattern] = nlohmann::ordered_json(number(alpha));
  }
  nlohmann::ordered_json sorted;
  json["rank_pattern"] = nullptr;
  json["alpha_pattern"] = nullptr;
  for (const auto& [key, value] : json.items()) {
    sorted[key] = key == "rank_pattern"    ? ranks
                  : key == "alpha_pattern" ? alphas
                                           : nlohmann::ordered_json(value);
  }
  return sorted.dump(2) + "\n";
}

// The adapter's own name for a tensor of a file, whoever wrote it.
std::string canonical(std::string name) {
  if (name.starts_with(kPrefix)) {
    name = name.substr(kPrefix.size());
  }
  for (const std::string_view part : {".default.weight", ".default"}) {
    if (name.ends_with(part)) {
      const bool weight = part.size() > 8;
      name = name.substr(0, name.size() - part.size()) + (weight ? ".weight" : "");
    }
  }
  constexpr std::string_view kSaved = ".modules_to_save";
  if (const std::size_t at = name.find(kSaved); at != std::string::npos) {
    name.erase(at, kSaved.size());
  }
  return name;
}

void fill(const Tensor& target, const TensorEntry& entry) {
  if (!entry.dtype || !std::ranges::equal(entry.shape, target.shape().dims()) ||
      (entry.dtype != DType::kF32 && entry.dtype != DType::kBf16 && entry.dtype != DType::kF16)) {
    throw DataError(
        str(entry.file->path(), ": \"", printable(entry.name), "\": expected ",
            target.shape().to_string(), " f32, bf16 or f16, found ", shape_text(entry.shape), " ",
            entry.dtype ? std::string(dtype_name(*entry.dtype)) : printable(entry.stored_dtype)));
  }
  const Tensor stored = Tensor::empty(target.shape(), *entry.dtype);
  std::memcpy(const_cast<void*>(stored.raw()), entry.data.data(), entry.data.size());
  target.copy_from(stored.to(DType::kF32));
}

// A saved base table must be the model's own, or the adapter was made for another model. Each may
// have been rounded to bf16 on its way here.
void check_same_table(const BaseTable& table, const TensorEntry& entry) {
  constexpr float kTwoRoundings = 1.0F / 128;
  const Tensor saved = Tensor::empty(Shape({table.count, table.width}), DType::kF32);
  fill(saved, entry);
  const Tensor own = table.rows(0, table.count);
  for (i64 i = 0; i < own.numel(); ++i) {
    const float a = own.values()[i];
    const float b = saved.values()[i];
    if (!(std::abs(a - b) <= kTwoRoundings * std::max(std::abs(a), std::abs(b)))) {
      throw DataError(str(entry.file->path(), ": \"", printable(entry.name), "\", row ",
                          i / table.width, ": the saved base table is not this model's: found ", b,
                          ", the model has ", a));
    }
  }
}

std::string join(const std::vector<std::string>& names) {
  constexpr std::size_t kShown = 5;
  std::string out;
  for (std::size_t i = 0; i < std::min(names.size(), kShown); ++i) {
    out += (i == 0 ? "" : ", ") + printable(names[i]);
  }
  return names.size() > kShown ? out + str(" and ", names.size() - kShown, " more") : out;
}

std::string counted_tensors(const std::vector<std::string>& names) {
  return str(names.size(), names.size() == 1 ? " tensor" : " tensors");
}

}  // namespace

void save_adapter(const std::string& directory, const Adapter& adapter,
                  const std::string& base_model) {
  make_directories(directory);
  std::vector<TensorToWrite> tensors;
  for (const AdapterTensor& t : adapter.tensors) {
    const std::span<const i64> dims = t.value.shape().dims();
    tensors.push_back({std::string(kPrefix) + t.key,
                       DType::kF32,
                       {dims.begin(), dims.end()},
                       std::as_bytes(t.value.values())});
  }
  for (const BaseTable& t : adapter.base_tables) {
    tensors.push_back({std::string(kPrefix) + t.key,
                       DType::kF32,
                       {t.count, t.width},
                       row_source(t.rows, t.count, t.width, DType::kF32)});
  }
  write_safetensors(join_path(directory, "adapter_model.safetensors"), std::move(tensors));
  write_file(join_path(directory, "adapter_config.json"), config_text(adapter, base_model));
}

PeftConfig read_adapter_config(const std::string& directory) {
  const std::string path = join_path(directory, "adapter_config.json");
  if (!is_file(path)) {
    throw DataError(exists(directory)
                        ? str(directory, ": not an adapter folder: it has no adapter_config.json")
                        : str(directory, ": there is no such adapter folder"));
  }
  const ConfigDocument document = ConfigDocument::single(
      parse_ordered_json(file_system().read(path, kMostConfigBytes), path), {path, directory});
  const ReadOptions options{.unknown_keys = ReadOptions::UnknownKeys::kRefuseIfSet,
                            .data_file = true};
  PeftConfig config = read_config<PeftConfig>(document, options);
  Problems problems(document);
  check(config, "", problems);
  problems.throw_if_any(true);
  return config;
}

void load_adapter_tensors(const std::string& directory, const Adapter& adapter) {
  const SafetensorsModel file(directory, "adapter_model");
  std::map<std::string, const TensorEntry*> by_name;
  std::vector<std::string> extra;
  for (const TensorEntry* entry : file.entries()) {
    const auto [it, is_new] = by_name.emplace(canonical(entry->name), entry);
    if (!is_new) {
      throw DataError(str(directory, ": \"", printable(it->second->name), "\" and \"",
                          printable(entry->name), "\" are two names of one tensor"));
    }
  }
  std::vector<std::string> missing;
  for (const AdapterTensor& t : adapter.tensors) {
    const auto it = by_name.find(t.key);
    if (it == by_name.end()) {
      missing.push_back(t.key);
      continue;
    }
    fill(t.value, *it->second);
    by_name.erase(it);
  }
  for (const BaseTable& t : adapter.base_tables) {
    if (const auto it = by_name.find(t.key); it != by_name.end()) {
      check_same_table(t, *it->second);
      by_name.erase(it);
    }
  }
  for (const auto& [name, entry] : by_name) {
    extra.push_back(entry->name);
  }
  if (!extra.empty()) {
    throw DataError(str(directory, ": no place in this model for ", counted_tensors(extra),
                        " of the adapter: ", join(extra)));
  }
  if (!missing.empty()) {
    throw DataError(str(directory, ": the adapter lacks ", counted_tensors(missing),
                        " that its adapter_config.json calls for: ", join(missing)));
  }
}

Adapter load_adapter(CausalLM& model, const std::string& directory, double scale) {
  const PeftConfig config = read_adapter_config(directory);
  Adapter adapter;
  try {
    adapter = inject_adapter(model, config, {.scale = scale, .pointer = ""});
  } catch (const ConfigError& e) {
    throw DataError(str(join_path(directory, "adapter_config.json"), ": ", e.what()));
  }
  load_adapter_tensors(directory, adapter);
  for (const AdapterTensor& t : adapter.tensors) {
    t.value.set_requires_grad(false);
  }
  return adapter;
}

}  // namespace inlay
