// SPDX-License-Identifier: Apache-2.0
#include "finetune/config/check.h"

#include <algorithm>
#include <bit>
#include <filesystem>
#include <initializer_list>
#include <nlohmann/json.hpp>
#include <optional>
#include <string_view>
#include <variant>

#include "core/config/run_file.h"
#include "core/config/writer.h"
#include "core/error.h"
#include "core/memory/byte_text.h"
#include "data/template/civil_time.h"
#include "finetune/adapters/lora.h"
#include "finetune/adapters/registry.h"
#include "nn/models/rope_override.h"

namespace inlay {
namespace {

void check_model(const ModelConfig& model, Problems& problems) {
  if (model.model_name_or_path.has_value() && model.config) {
    problems.add("/model", "model_name_or_path and config exclude each other: set one to null");
  }
  if (!model.model_name_or_path.has_value() && !model.config) {
    problems.add("/model/model_name_or_path",
                 "this path to a model, or model.config for random weights, is needed");
  }
  if (model.rope_scaling) {
    for (const auto& [place, what] :
         rope_scaling_problems(nlohmann::json(*model.rope_scaling.json))) {
      problems.add("/model/rope_scaling" + place, what);
    }
  }
  if (model.template_date) {
    try {
      CivilTime::parse(*model.template_date);
    } catch (const DataError& error) {
      problems.add("/model/template_date", error.what());
    }
  }
}

void check_quantization(const RunConfig& config, Problems& problems) {
  if (!config.quantization.has_value()) {
    return;
  }
  if (!config.quantization->load_in_4bit) {
    problems.add("/quantization/load_in_4bit",
                 "false quantises nothing: set it to true, or quantization to null");
  }
  const std::vector<std::string>& skipped = config.quantization->skip_modules;
  for (std::size_t i = 0; i < skipped.size(); ++i) {
    if (skipped[i].empty() || skipped[i].find_first_of("\\*+?[](){}|^$") != std::string::npos) {
      problems.add(str("/quantization/skip_modules/", i),
                   str("expected the begin or end of a module's path, no expression, found \"",
                       printable(skipped[i]), "\""));
    }
  }
  const i64 block_size = config.quantization->bnb_4bit_blocksize;
  if (!std::has_single_bit(static_cast<u64>(block_size))) {
    problems.add("/quantization/bnb_4bit_blocksize",
                 str("expected a power of two from 32 to 4096, found ", block_size));
  }
  const AutoOr<GemmCompute>& decoded = config.quantization->bnb_4bit_compute_dtype;
  const AutoOr<GemmCompute>& multiplied = config.training.compute_dtype;
  if (!decoded.is_auto() && !multiplied.is_auto() && decoded != multiplied) {
    problems.add("/quantization/bnb_4bit_compute_dtype",
                 str("\"", choice_name(decoded), "\" is not training.compute_dtype, \"",
                     choice_name(multiplied), "\": set one of them to \"auto\""));
  }
  if (!config.peft.has_value()) {
    problems.add("/quantization",
                 "4-bit weights cannot be trained: add peft, or set quantization to null");
  }
}

void check_data(const RunConfig& config, Problems& problems) {
  const DataConfig& data = config.data;
  const RowFormat* format = data.format.value.value_or(nullptr);  // null: judged by the first row
  if (!data.train.has_value()) {
    problems.add("/data/train", "a file to train on is needed");
  }
  if (data.completion_only_loss == true && format != nullptr && !format->completion) {
    problems.add("/data/completion_only_loss",
                 str("rows of format \"", format->name, "\" have no completion"));
  }
  if (data.assistant_only_loss == true && format != nullptr &&
      format->messages == RowFormat::Messages::kNever) {
    problems.add("/data/assistant_only_loss",
                 str("rows of format \"", format->name, "\" have no messages"));
  }
  if (data.train_on_thinking != TrainThinking::kAll && data.assistant_only_loss == false) {
    problems.add("/data/train_on_thinking",
                 "is for the assistant's messages: it needs data.assistant_only_loss true or null");
  }
  const bool ids_only = format == nullptr || format->is_ids();
  if (config.model.config && !config.model.tokenizer.has_value() && !ids_only) {
    problems.add("/model/tokenizer",
                 str("data.format \"", format->name,
                     "\" needs one, and model.config brings none: name one, or \"bytes\""));
  }
  if (config.eval.eval_steps > 0 && !data.validation.has_value()) {
    problems.add("/eval/eval_steps",
                 str(config.eval.eval_steps, " needs data.validation, a file to evaluate on"));
  }
}

void check_training(const RunConfig& config, Problems& problems) {
  const TrainingConfig& training = config.training;
  if (training.compute_dtype == GemmCompute::kInt8 && !config.peft.has_value()) {
    problems.add("/training/compute_dtype",
                 "\"int8\" is for frozen weights: add peft, or set it to \"bf16\"");
  }
  if (training.max_steps == 0) {
    problems.add("/training/max_steps", "expected -1 (not set) or at least 1, found 0");
  }
  if (training.warmup_steps > 0 && training.warmup_ratio > 0.0) {
    problems.add("/training/warmup_ratio",
                 "warmup_steps and warmup_ratio exclude each other: set one to 0");
  }
  const AutoOr<Recompute>& again = training.gradient_checkpointing;
  if (training.gradient_checkpointing_layers && again != Recompute::kSelective &&
      again != Recompute::kBlock) {
    problems.add("/training/gradient_checkpointing_layers",
                 str("needs gradient_checkpointing \"selective\" or \"block\", found \"",
                     choice_name(again), "\""));
  }
}

void check_runtime(const RunConfig& config, Problems& problems) {
  const RuntimeConfig& runtime = config.runtime;
  if (runtime.prepack_weights == Prepack::kAlways && !config.peft.has_value()) {
    problems.add("/runtime/prepack_weights",
                 "\"always\" is for frozen weights: add peft, or set it to \"never\"");
  }
  if (runtime.prepack_weights == Prepack::kAlways &&
      config.training.compute_dtype == GemmCompute::kInt8) {
    problems.add("/runtime/prepack_weights",
                 "\"always\" is for products in f32 and bf16, and compute_dtype is \"int8\"");
  }
  const auto* text = std::get_if<std::string>(&runtime.max_memory);
  if (text != nullptr && *text != "auto" && bytes_from_text(*text).value_or(0) <= 0) {
    problems.add("/runtime/max_memory",
                 str("expected \"auto\", a number of bytes, or a size such as \"6GB\" or "
                     "\"900MiB\", found \"",
                     printable(*text), "\""));
  }
}

template <class List>
bool holds_nothing(const List& list) {
  return list.empty();
}
bool holds_nothing(const StringOrList& value) {
  return std::visit([](const auto& held) { return holds_nothing(held); }, value);
}

}  // namespace

void check(const PeftConfig& config, std::string_view pointer, Problems& problems) {
  const auto at = [&](std::string_view key) { return json_pointer(pointer, key); };
  const bool parameters = !own_keys<LoraKeys>(config).target_parameters.empty();
  if (holds_nothing(config.target_modules) && !parameters) {
    problems.add(at("target_modules"),
                 "is empty: name modules, or \"all-linear\" for every linear layer but the head");
  }
  const bool by_regex = std::holds_alternative<std::string>(config.target_modules);
  if (by_regex && config.layers_to_transform.has_value()) {
    problems.add(at("layers_to_transform"),
                 "needs target_modules to be a list: a string says which layers by itself");
  }
  if (by_regex && config.layers_pattern.has_value()) {
    problems.add(at("layers_pattern"),
                 "needs target_modules to be a list: a string says which layers by itself");
  }
  if (!by_regex && config.layers_pattern.has_value() && !config.layers_to_transform.has_value()) {
    problems.add(at("layers_pattern"), "has no meaning without layers_to_transform");
  }
  if (config.layers_to_transform.has_value() && config.layers_to_transform->empty()) {
    problems.add(at("layers_to_transform"), "is empty: name layers, or set it to null for all");
  }
}

void check_finished(FinishedPeftConfig& config, Problems& problems) {
  if (config.layers_to_transform && config.layers_to_transform->empty()) {
    config.layers_to_transform.reset();
  }
  if (config.layers_pattern && holds_nothing(*config.layers_pattern)) {
    config.layers_pattern.reset();
  }
  if (config.named_targets) {
    config.target_modules = *config.named_targets;
  }
  check(config, "", problems);
  const AdapterMethod& method = method_of(config);
  if (method.check_finished != nullptr) {
    method.check_finished(config, problems);
  }
}

void check(const RunConfig& config, const ConfigDocument& document) {
  Problems problems(document);
  check_model(config.model, problems);
  check_quantization(config, problems);
  if (config.peft.has_value()) {
    check(*config.peft, "/peft", problems);
  }
  check_data(config, problems);
  check_training(config, problems);
  check_runtime(config, problems);
  problems.throw_if_any();
}

namespace {

// The run's own files name these paths. Strings of a config are UTF-8, but what stands before a
// relative path is the name of a folder, which can be anything.
void require_paths_in_json(const RunConfig& config, const std::string& path) {
  try {
    config_text(config);
    config_text(config, {.directory = *config.save.output_dir});
  } catch (const ConfigError&) {
    throw ConfigError(str(printable(path, 300),
                          ": its paths lead through a folder whose name is not UTF-8, which the "
                          "files of a run cannot say; rename the folder"));
  }
}

}  // namespace

RunConfig load_run_config(const std::string& path, std::span<const std::string> overrides) {
  const ConfigDocument document = load_run_file(path, overrides);
  RunConfig config = read_config<RunConfig>(document);
  check(config, document);
  const std::optional<std::string> folder = config_folder(path);
  if (!config.save.output_dir.has_value()) {
    const std::string name = folder ? std::filesystem::path(path).stem().string() : "stdin";
    config.save.output_dir = resolved_path("runs/" + name, folder.value_or(""));
  }
  require_paths_in_json(config, path);
  return config;
}

}  // namespace inlay
