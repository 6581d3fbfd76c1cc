// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapters/peft_files.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/config/json.h"
#include "core/config/reader.h"
#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/safetensors.h"
#include "finetune/adapters/adapter_file.h"
#include "finetune/adapters/finished_adapter.h"
#include "finetune/adapters/registry.h"
#include "finetune/config/check.h"

namespace inlay {
namespace {

using nlohmann::ordered_json;

constexpr std::string_view kPrefix = "base_model.model.";
constexpr i64 kMaxAdapterConfigBytes = 16 << 20;

ordered_json text_or_list(const StringOrList& value) {
  return std::visit([](const auto& v) { return ordered_json(v); }, value);
}

// What every method's file has beside its own keys.
void write_common_keys(const Adapter& adapter, ordered_json& json) {
  const PeftConfig& c = adapter.config;
  json["peft_type"] = c.peft_type;
  json["task_type"] = "CAUSAL_LM";
  json["auto_mapping"] = nullptr;
  json["revision"] = nullptr;
  json["inference_mode"] = true;
  json["target_modules"] = text_or_list(c.target_modules);
  json["exclude_modules"] = c.exclude_modules ? text_or_list(*c.exclude_modules) : ordered_json();
  json["fan_in_fan_out"] = adapter.fan_in_fan_out;
  json["bias"] = "none";
  json["modules_to_save"] =
      c.modules_to_save.empty() ? ordered_json() : ordered_json(c.modules_to_save);
  json["layers_to_transform"] =
      c.layers_to_transform ? ordered_json(*c.layers_to_transform) : ordered_json();
  json["layers_pattern"] = c.layers_pattern ? text_or_list(*c.layers_pattern) : ordered_json();
}

// Keys sorted and two spaces deep, as PEFT writes them. What is below them keeps its order: of
// patterns the first match counts.
std::string config_text(const Adapter& adapter, const std::string& base_model) {
  ordered_json json;
  write_common_keys(adapter, json);
  json["base_model_name_or_path"] = base_model;
  method_of(adapter.config).write_keys(adapter.config, json);
  std::vector<std::string> keys;
  for (const auto& [key, value] : json.items()) {
    keys.push_back(key);
  }
  std::ranges::sort(keys);
  ordered_json sorted;
  for (const std::string& key : keys) {
    sorted[key] = json[key];
  }
  return sorted.dump(2) + "\n";
}

// A saved base table must be the model's own, or the adapter was made for another model. Each may
// have been rounded to bf16 on its way here.
void check_same_table(const BaseTable& table, AdapterFile& file) {
  constexpr float kTwoRoundings = 1.0F / 128;
  constexpr i64 kRows = 1024;  // on the host at a time: a table may be large
  const std::string where = file.where(table.key);
  const Tensor saved = file.take(table.key, Shape({table.count, table.width}));
  for (i64 begin = 0; begin < table.count; begin += kRows) {
    const i64 end = std::min(table.count, begin + kRows);
    const std::vector<float> found = saved.slice(0, begin, end).to_vector();
    const std::vector<float> own = table.rows(begin, end).to_vector();
    for (std::size_t i = 0; i < own.size(); ++i) {
      const float a = own[i];
      const float b = found[i];
      if (!(std::abs(a - b) <= kTwoRoundings * std::max(std::abs(a), std::abs(b)))) {
        throw DataError(str(where, ", row ", begin + static_cast<i64>(i) / table.width,
                            ": the saved base table is not this model's: found ", b,
                            ", the model has ", a));
      }
    }
  }
}

// trainable_token_indices: ids of the input embedding, or lists of ids by module.
OrderedMap<std::vector<i64>> trained_tokens(const nlohmann::ordered_json& json,
                                            const std::string& path) {
  const auto it = json.find("trainable_token_indices");
  if (it == json.end() || it->is_null()) {
    return {};
  }
  const auto ids_of = [&](const nlohmann::ordered_json& list) {
    constexpr i64 kMaxId = std::numeric_limits<i32>::max();
    std::vector<i64> ids;
    for (const auto& id : list.is_array() ? list : nlohmann::ordered_json::array({nullptr})) {
      if (!id.is_number_integer() || id.get<i64>() < 0 || id.get<i64>() > kMaxId) {
        throw DataError(str(path,
                            ": /trainable_token_indices: expected a list of token ids, or an "
                            "object of such lists by module, found ",
                            printable(it->dump(), 60)));
      }
      ids.push_back(id.get<i64>());
    }
    return ids;
  };
  OrderedMap<std::vector<i64>> out;
  if (!it->is_object()) {
    out.emplace_back("", ids_of(*it));
    return out;
  }
  for (const auto& [module, list] : it->items()) {
    out.emplace_back(module, ids_of(list));
  }
  return out;
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
                       tensor_source(t.value)});
  }
  for (const BaseTable& t : adapter.base_tables) {
    if (t.saved) {
      tensors.push_back({std::string(kPrefix) + t.key,
                         DType::kF32,
                         {t.count, t.width},
                         row_source(t.rows, t.count, t.width, DType::kF32)});
    }
  }
  write_safetensors(join_path(directory, "adapter_model.safetensors"), std::move(tensors));
  write_file(join_path(directory, "adapter_config.json"), config_text(adapter, base_model));
}

FinishedPeftConfig read_adapter_config(const std::string& directory) {
  const std::string path = join_path(directory, "adapter_config.json");
  if (!is_file(path)) {
    throw DataError(exists(directory)
                        ? str(directory, ": not an adapter folder: it has no adapter_config.json")
                        : str(directory, ": there is no such adapter folder"));
  }
  const nlohmann::ordered_json json =
      parse_ordered_json(file_system().read(path, kMaxAdapterConfigBytes), path);
  const ConfigDocument document = ConfigDocument::single(json, {path, directory});
  const ReadOptions options{.unknown_keys = ReadOptions::UnknownKeys::kRefuseIfSet,
                            .data_file = true};
  FinishedPeftConfig config = read_config<FinishedPeftConfig>(document, options);
  config.trained_tokens = trained_tokens(json, path);
  Problems problems(document);
  check_finished(config, problems);
  problems.throw_if_any(true);
  return config;
}

void require_same_scale(const PeftConfig& run, const std::string& directory) {
  const AdapterMethod& method = method_of(run);
  ordered_json now, then;
  method.write_keys(run, now);
  method.write_keys(read_adapter_config(directory), then);
  for (const std::string_view key : method.fixed_keys) {
    if (now[key] != then[key]) {
      throw ConfigError(str(
          "/peft/", key, ": is not as in the adapter to start from (", printable(directory, 300),
          "), whose update was trained for that factor", "; give the run the adapter's own"));
    }
  }
}

void load_adapter_tensors(const std::string& directory, const Adapter& adapter) {
  AdapterFile file(directory);
  std::vector<std::string> missing;
  for (const AdapterTensor& t : adapter.tensors) {
    if (file.has(t.key)) {
      file.fill(t.value, t.key);
    } else {
      missing.push_back(t.key);
    }
  }
  for (const BaseTable& t : adapter.base_tables) {
    if (file.has(t.key)) {
      check_same_table(t, file);
    }
  }
  require_all_placed(directory, file.unused(), missing);
  if (!file.not_finite().empty()) {
    throw DataError(file.not_finite() + ": an adapter to train must hold numbers");
  }
}

Adapter load_adapter(CausalLM& model, const std::string& directory, double scale) {
  const FinishedPeftConfig config = read_adapter_config(directory);
  AdapterFile file(directory);
  try {
    FinishedAdapter finished = inject_finished_adapter(model, config, file, scale);
    require_all_placed(directory, file.unused(), finished.missing);
    for (const AdapterTensor& t : finished.adapter.tensors) {
      t.value.set_requires_grad(false);
    }
    return std::move(finished.adapter);
  } catch (const ConfigError& e) {
    throw DataError(str(join_path(directory, "adapter_config.json"), ": ", e.what()));
  }
}

}  // namespace inlay
