// SPDX-License-Identifier: Apache-2.0
#include "apps/model_arguments.h"

#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "apps/console.h"
#include "core/config/json.h"
#include "core/error.h"
#include "core/io/file_system.h"
#include "core/parallel.h"
#include "finetune/adapter_base.h"
#include "finetune/adapters/peft_files.h"
#include "finetune/model_cache.h"

namespace inlay {
namespace {

struct ScaledAdapter {
  std::string directory;
  double scale = 1.0;
};

// "DIR@0.5"; an existing folder whose name holds an @ is taken as it stands.
ScaledAdapter parse_adapter(const std::string& text) {
  const std::size_t at = text.rfind('@');
  if (at == std::string::npos || is_directory(text)) {
    return {text, 1.0};
  }
  const std::string number = text.substr(at + 1);
  double scale = 0.0;
  const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), scale);
  if (error != std::errc() || end != number.data() + number.size() || !std::isfinite(scale)) {
    throw ConfigError(
        str("--adapter ", printable(text), ": expected DIR or DIR@SCALE with a number as scale"));
  }
  return {text.substr(0, at), scale};
}

}  // namespace

void ModelArguments::declare(Arguments& arguments, bool many_adapters) {
  arguments
      .option("-m,--model", model, "Hugging Face folder, .gguf file, or a model of the local cache")
      .required();
  arguments.option("-a,--adapter", adapters,
                   many_adapters ? "adapter folder, DIR or DIR@SCALE; may be given several times"
                                 : "adapter folder");
  arguments.option("--tokenizer", tokenizer,
                   "tokenizer folder or file, or \"bytes\" (default: the model's own)");
  arguments.option("--rope-scaling", rope_scaling,
                   "JSON in place of the model's own, as model.rope_scaling in a run config "
                   "(default: that of the adapter's run)");
  arguments.choice("--dtype", dtype, "storage of the weights: auto (as in the file), f32, bf16",
                   {DType::kF32, DType::kBf16});
  arguments.choice("--attn-implementation", attention, "tiled, or reference (the plain formula)");
  arguments.option("--threads", threads,
                   "threads to compute with; 0: all (the results are the same)");
}

void ModelArguments::declare_chat_template(Arguments& arguments) {
  arguments
      .option("--chat-template", chat_template,
              "one of the model's chat templates by its name, one of ours (chatml, llama3 ...), or "
              "a file")
      .option("--chat-template-kwargs", chat_variables,
              "variables for the template, a JSON object such as {\"enable_thinking\": false}")
      .option("--date", date,
              "day (2025-01-31, or with T12:30:00) that the template prints (default: today)");
}

jinja::Value ModelArguments::template_variables() const {
  if (chat_variables.empty()) {
    return {};
  }
  const char* const option = "--chat-template-kwargs";
  nlohmann::ordered_json json;
  try {
    json = parse_ordered_json(chat_variables, option);
  } catch (const DataError& error) {
    throw ConfigError(error.what());
  }
  if (!json.is_object()) {
    throw ConfigError(str(option, ": expected a JSON object, found ", json.type_name()));
  }
  return jinja::Value::from_json(json, option);
}

std::vector<CommandInput> ModelArguments::inputs() const {
  std::vector<CommandInput> out;
  if (const auto path = find_model_path(model)) {
    out.push_back({"the model", *path});
  }
  for (const std::string& adapter : adapters) {
    out.push_back({"the adapter", parse_adapter(adapter).directory});
  }
  out.push_back({"the tokenizer", tokenizer});
  out.push_back({"the chat template", chat_template});
  return out;
}

LoadedModel ModelArguments::load() const {
  require_at_least("--threads", threads, 0);
  if (!date.empty()) {
    require_date("--date", date);
  }
  std::vector<ScaledAdapter> scaled;
  for (const std::string& text : adapters) {
    scaled.push_back(parse_adapter(text));
    read_adapter_config(scaled.back().directory);  // a mistake here should not cost a model's load
  }
  set_num_threads(threads > 0 ? static_cast<int>(std::min<i64>(threads, 1024))
                              : available_processors());
  notice_refused_threads();
  LoadOptions options;
  options.model.model_name_or_path = model;
  options.model.dtype = dtype;
  std::vector<std::string> directories;
  for (const ScaledAdapter& adapter : scaled) {
    directories.push_back(adapter.directory);
  }
  options.model.rope_scaling = rope_scaling_of_base(rope_scaling, directories);
  if (options.model.rope_scaling && rope_scaling.empty()) {
    print_notice(str("the base has the rope_scaling of the adapter's run, ",
                     options.model.rope_scaling.json->dump()));
  }
  if (!tokenizer.empty()) {
    options.model.tokenizer = tokenizer;
  }
  if (!chat_template.empty()) {
    options.model.chat_template = chat_template;
  }
  if (!date.empty()) {
    options.model.template_date = date;
  }
  LoadedModel loaded = load_model(options);
  for (const std::string& notice : loaded.notices) {
    print_notice(notice);
  }
  for (const ScaledAdapter& adapter : scaled) {
    const Adapter used = load_adapter(*loaded.model, adapter.directory, adapter.scale);
    for (const std::string& notice : used.notices) {
      print_notice(notice);
    }
    if (!used.not_finite.empty()) {
      print_notice(used.not_finite);
    }
  }
  return loaded;
}

}  // namespace inlay
