// SPDX-License-Identifier: Apache-2.0
#include <cstdio>
#include <map>
#include <nlohmann/json.hpp>

#include "apps/arguments.h"
#include "apps/commands.h"
#include "apps/console.h"
#include "core/config/json.h"
#include "core/error.h"
#include "core/io/file_system.h"
#include "core/io/gguf.h"
#include "core/io/safetensors.h"
#include "finetune/adapters/peft_files.h"
#include "finetune/adapters/registry.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

constexpr i64 kMaxJsonBytes = 64 << 20;

Json read_json(const std::string& path) {
  return parse_ordered_json(file_system().read(path, kMaxJsonBytes), path);
}

Json tensor_row(const std::string& name, const std::string& type, std::span<const i64> shape,
                i64 bytes) {
  return {{"name", name},
          {"type", type},
          {"shape", std::vector<i64>(shape.begin(), shape.end())},
          {"bytes", bytes}};
}

Json safetensors_facts(const std::vector<const TensorEntry*>& entries) {
  Json rows = Json::array();
  for (const TensorEntry* e : entries) {
    rows.push_back(
        tensor_row(e->name, e->stored_dtype, e->shape, static_cast<i64>(e->data.size())));
  }
  return rows;
}

std::string value_text(const GgufValue& value) {
  return std::visit(
      [](const auto& v) {
        using T = std::decay_t<decltype(v)>;
        if constexpr (std::is_same_v<T, GgufArray>) {
          return str(gguf_value_type_name(v.type), "[", v.count, "]");
        } else if constexpr (std::is_same_v<T, bool>) {
          return std::string(v ? "true" : "false");
        } else if constexpr (std::is_same_v<T, std::string>) {
          return printable(v, 60);
        } else if constexpr (sizeof(T) == 1) {
          return std::to_string(static_cast<int>(v));
        } else {
          return str(v);
        }
      },
      value);
}

Json inspect_gguf(const std::string& path) {
  const GgufFile file(path);
  Json metadata = Json::object();
  for (const auto& [key, value] : file.metadata()) {
    metadata[key] = value_text(value);
  }
  Json rows = Json::array();
  for (const GgufTensor& t : file.tensors()) {
    rows.push_back(
        tensor_row(t.name, std::string(t.type->name), t.shape, static_cast<i64>(t.data.size())));
  }
  return {{"kind", "gguf"}, {"metadata", metadata}, {"tensors", rows}};
}

Json inspect_safetensors(const std::string& path) {
  const SafetensorsFile file(path);
  std::vector<const TensorEntry*> entries;
  for (const TensorEntry& e : file.entries()) {
    entries.push_back(&e);
  }
  return {{"kind", "safetensors"},
          {"metadata", file.metadata()},
          {"tensors", safetensors_facts(entries)}};
}

Json inspect_adapter(const std::string& folder) {
  const auto config = read_adapter_config(folder);
  const SafetensorsModel file(folder, "adapter_model");
  Json out = {{"kind", "adapter"}, {"config", read_json(join_path(folder, "adapter_config.json"))}};
  out["method"] = method_of(config).name;
  out["rank"] = config.r;
  out["tensors"] = safetensors_facts(file.entries());
  return out;
}

Json inspect_run(const std::string& folder) {
  Json out = {{"kind", "run"}, {"config", read_json(join_path(folder, "config.resolved.json"))}};
  const std::string manifest = join_path(folder, "manifest.json");
  out["finished"] = is_file(manifest);
  if (is_file(manifest)) {
    out["manifest"] = read_json(manifest);
  }
  const std::string metrics = join_path(folder, "metrics.jsonl");
  if (is_file(metrics)) {
    const std::string text = file_system().read(metrics, i64{1} << 32);
    const std::size_t end = text.find_last_not_of('\n');
    const std::size_t begin = end == std::string::npos ? 0 : text.rfind('\n', end) + 1;
    out["last_metrics"] =
        end == std::string::npos ? Json() : Json::parse(text.substr(begin, end + 1 - begin));
  }
  Json checkpoints = Json::array();
  const std::string folder_of_checkpoints = join_path(folder, "checkpoints");
  if (is_directory(folder_of_checkpoints)) {
    for (const std::string& name : file_system().list(folder_of_checkpoints)) {
      if (is_directory(join_path(folder_of_checkpoints, name)) && !name.starts_with(".")) {
        checkpoints.push_back(name);
      }
    }
  }
  out["checkpoints"] = checkpoints;
  return out;
}

Json inspect_model(const std::string& folder) {
  const SafetensorsModel file(folder);
  return {{"kind", "model"},
          {"config", read_json(join_path(folder, "config.json"))},
          {"tensors", safetensors_facts(file.entries())}};
}

Json inspect(const std::string& path) {
  const FileKind kind = file_system().info(path).kind;
  if (kind == FileKind::kNone) {
    throw IoError(str(path, ": there is no such file or folder"));
  }
  if (kind == FileKind::kDirectory) {
    if (is_file(join_path(path, "config.resolved.json"))) {
      return inspect_run(path);
    }
    if (is_file(join_path(path, "adapter_config.json"))) {
      Json out = inspect_adapter(path);
      const std::string state = join_path(path, "trainer_state.json");
      if (is_file(state)) {
        out["kind"] = "checkpoint";
        out["state"] = read_json(state);
      }
      return out;
    }
    if (is_file(join_path(path, "trainer_state.json"))) {
      return {{"kind", "checkpoint"}, {"state", read_json(join_path(path, "trainer_state.json"))}};
    }
    if (is_file(join_path(path, "config.json"))) {
      return inspect_model(path);
    }
    throw DataError(str(path, ": neither a model, an adapter, a checkpoint nor a run"));
  }
  if (path.ends_with(".gguf")) {
    return inspect_gguf(path);
  }
  if (path.ends_with(".safetensors")) {
    return inspect_safetensors(path);
  }
  throw DataError(str(path, ": expected a .gguf or .safetensors file, or a folder"));
}

void print_object(const Json& object, const std::string& indent) {
  for (const auto& [key, value] : object.items()) {
    if (value.is_object()) {
      std::printf("%s%s\n", indent.c_str(), printable(key).c_str());
      print_object(value, indent + "  ");
    } else {
      std::printf(
          "%s%-32s %s\n", indent.c_str(), printable(key).c_str(),
          printable(value.is_string() ? value.get<std::string>() : value.dump(), 120).c_str());
    }
  }
}

void print_tensors(const Json& tensors) {
  i64 bytes = 0;
  i64 elements = 0;
  std::map<std::string, i64> types;
  for (const Json& t : tensors) {
    i64 count = 1;
    for (const Json& d : t["shape"]) {
      count *= d.get<i64>();
    }
    bytes += t["bytes"].get<i64>();
    elements += count;
    types[t["type"].get<std::string>()] += 1;
    std::printf("  %-56s %-6s %-18s %s\n", printable(t["name"].get<std::string>()).c_str(),
                t["type"].get<std::string>().c_str(), t["shape"].dump().c_str(),
                readable_bytes(t["bytes"].get<i64>()).c_str());
  }
  std::string summary;
  for (const auto& [type, count] : types) {
    summary += (summary.empty() ? "" : ", ") + type + " x " + std::to_string(count);
  }
  std::printf("%zu tensors (%s), %s values, %s\n", tensors.size(), summary.c_str(),
              readable_count(elements).c_str(), readable_bytes(bytes).c_str());
}

}  // namespace

int run_inspect(std::span<const std::string> arguments) {
  std::string path;
  bool json = false;
  Arguments args("inlay inspect",
                 "Tells what is in a model, adapter, safetensors or GGUF file, checkpoint or run.");
  args.positional("PATH", path, "a file or folder").flag("--json", json, "print it as JSON");
  if (!args.parse(arguments)) {
    return 0;
  }
  Json facts = inspect(path);
  if (json) {
    std::puts(facts.dump(2, ' ', false, Json::error_handler_t::replace).c_str());
    return 0;
  }
  const Json tensors = facts.contains("tensors") ? facts["tensors"] : Json();
  facts.erase("tensors");
  print_object(facts, "");
  if (tensors.is_array()) {
    print_tensors(tensors);
  }
  return 0;
}

}  // namespace inlay
