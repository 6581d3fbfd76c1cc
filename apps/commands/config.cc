// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "core/config/help.h"
#include "core/config/json.h"
#include "core/config/schema.h"
#include "core/config/writer.h"
#include "core/error.h"
#include "core/io/atomic.h"
#include "finetune/config/check.h"

namespace inlay {
namespace {

// What most runs set, with the choices beside it; every other key keeps its default (inlay config
// show lists them all).
constexpr const char* kStartingConfig = R"({
  "model": {
    "model_name_or_path": "MODEL",   // Hugging Face folder or .gguf file
    "dtype": "auto"                  // storage of the frozen weights: auto | f32 | bf16
  },
  // "quantization": {"load_in_4bit": true, "bnb_4bit_quant_type": "nf4"},   // QLoRA
  "peft": {                          // without this section: full training
    "r": 16,
    "lora_alpha": 32,
    "target_modules": "all-linear"
  },
  "data": {
    "train": "train.jsonl",          // rows of prompt and completion, messages, text, ...
    "max_length": 1024
  },
  "training": {
    "num_train_epochs": 1,
    "per_device_train_batch_size": 4,
    "learning_rate": 2e-4,
    "warmup_ratio": 0.03
  },
  "save": {"output_dir": "runs/first"}
}
)";

constexpr i64 kMaxConfigBytes = 1 << 20;

// Whether nothing but a run config goes with the file: it has sections of one and no other key.
bool is_run_config(const std::string& file) {
  std::vector<std::string> known = {"extends", "$schema"};
  for (const FieldRow& row : field_rows<RunConfig>()) {
    const std::string key = dotted_key(row.pointer);
    known.push_back(key.substr(0, key.find('.')));
  }
  try {
    const auto json =
        parse_ordered_json(file_system().read(file, kMaxConfigBytes), file, {.comments = true});
    bool ours = json.is_object();
    for (const auto& [key, value] : json.items()) {
      ours = ours && std::ranges::find(known, key) != known.end();
    }
    return ours;
  } catch (const Error&) {
    return false;
  }
}

int config_init(std::span<const std::string> arguments) {
  std::string file = "run.json";
  bool overwrite = false;
  Arguments args("inlay config init", "Writes a starting config to edit.");
  args.positional("FILE", file, "the file to write (default: run.json); - for stdout", false)
      .flag("--overwrite", overwrite, "replace the file if it is there");
  if (!args.parse(arguments)) {
    return 0;
  }
  if (file == "-") {
    std::fputs(kStartingConfig, stdout);
    return 0;
  }
  if (exists(file) && !overwrite) {
    throw ConfigError(str(file, ": there is such a file already (--overwrite replaces it)"));
  }
  require_place_for_file(file);
  if (exists(file) && !is_run_config(file)) {
    throw ConfigError(
        str(file, ": this file is no run config, and is not replaced; choose another name"));
  }
  write_file(file, kStartingConfig);
  std::printf("written: %s\n", file.c_str());
  return 0;
}

int config_check(std::span<const std::string> arguments) {
  std::string file;
  std::vector<std::string> overrides;
  Arguments args("inlay config check", "Checks a run config without loading anything.");
  args.positional("RUN.json", file, "the run config; - for stdin")
      .option("--set", overrides, "set a key of the config");
  if (!args.parse(arguments)) {
    return 0;
  }
  load_run_config(file, overrides);
  std::printf("%s: no mistakes\n", file == "-" ? "stdin" : file.c_str());
  return 0;
}

int config_show(std::span<const std::string> arguments) {
  std::string file;
  std::vector<std::string> overrides;
  bool keys = false;
  Arguments args("inlay config show",
                 "Prints the resolved config: every key, with defaults and overrides in place.");
  args.positional("RUN.json", file, "the run config; - for stdin", false)
      .option("--set", overrides, "set a key of the config")
      .flag("--keys", keys, "list every key with its type, default and meaning instead");
  if (!args.parse(arguments)) {
    return 0;
  }
  if (keys) {
    std::fputs(help_text(field_rows<RunConfig>()).c_str(), stdout);
    return 0;
  }
  if (file.empty()) {
    throw ConfigError("config show: give a run config, or --keys");
  }
  std::fputs(config_text(load_run_config(file, overrides)).c_str(), stdout);
  return 0;
}

int config_schema_command(std::span<const std::string> arguments) {
  Arguments args("inlay config schema", "Prints the JSON Schema of run configs, for editors.");
  if (!args.parse(arguments)) {
    return 0;
  }
  std::fputs(config_schema<RunConfig>("inlay run config", {.extends = true}).c_str(), stdout);
  return 0;
}

constexpr Command kCommands[] = {
    {"init", "write a starting config", config_init},
    {"check", "check a config without running it", config_check},
    {"show", "print the resolved config, or every key", config_show},
    {"schema", "print the JSON Schema", config_schema_command},
};

}  // namespace

int run_config(std::span<const std::string> arguments) {
  if (arguments.empty() || arguments[0] == "--help" || arguments[0] == "-h") {
    std::puts(
        "Makes, checks and shows run configs.\n\nUsage: inlay config COMMAND "
        "[OPTIONS]\n\nCommands:");
    for (const Command& command : kCommands) {
      std::printf("  %-8s %s\n", command.name, command.help);
    }
    return arguments.empty() ? static_cast<int>(ExitCode::kUsage) : 0;
  }
  std::vector<std::string> names;
  for (const Command& command : kCommands) {
    if (arguments[0] == command.name) {
      return command.run(arguments.subspan(1));
    }
    names.emplace_back(command.name);
  }
  throw ConfigError(str("config: unknown command \"", printable(arguments[0]), "\"",
                        did_you_mean(arguments[0], names),
                        "; there are: init, check, show, schema"));
}

}  // namespace inlay
