// SPDX-License-Identifier: Apache-2.0
#include "finetune/run_contents.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/io/atomic.h"
#include "core/io/file_system.h"
#include "finetune/checkpoint_files.h"
#include "finetune/run_directory.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;
using Names = std::set<std::string>;

constexpr const char* kSettings = "config.resolved.json";
constexpr const char* kManifest = "manifest.json";
constexpr const char* kCheckpoints = "checkpoints";
constexpr i64 kMaxMarkBytes = 16 << 20;

// A mark is worth what it says: null for one that is not there or not ours.
Json read_mark(const std::string& path, std::initializer_list<const char*> keys) {
  if (!is_file(path) || file_system().info(path).size > kMaxMarkBytes) {
    return {};
  }
  Json json = Json::parse(file_system().read(path, kMaxMarkBytes), nullptr, false);
  const bool ours = json.is_object() &&
                    std::ranges::all_of(keys, [&](const char* k) { return json.contains(k); });
  return ours ? json : Json();
}

Json settings_of(const std::string& path) {
  return read_mark(join_path(path, kSettings), {"model", "data", "training", "save"});
}

Json manifest_of(const std::string& path) {
  return read_mark(join_path(path, kManifest), {"program", "data", "steps", "output"});
}

// The names in a result's folder by the manifest's list of files, ".../adapter/NAME".
Names listed_names(const Json& manifest, const std::string& folder) {
  Names names;
  const Json& output = manifest.is_object() ? manifest["output"] : Json();
  for (const Json& file : output.is_array() ? output : Json::array()) {
    const std::string path = "/" + (file.is_object() ? file.value("path", "") : "");
    const std::string part = "/" + folder + "/";
    if (const std::size_t at = path.rfind(part); at != std::string::npos) {
      const std::string below = path.substr(at + part.size());
      names.insert(below.substr(0, below.find('/')));
    }
  }
  return names;
}

// Of a run that was ended between its result and its manifest.
Names usual_names(const std::string& folder) {
  return folder == kAdapterFolder ? Names{"adapter_config.json", "adapter_model.safetensors"}
                                  : Names{"config.json",
                                          "model.safetensors",
                                          "generation_config.json",
                                          "tokenizer.json",
                                          "tokenizer.model",
                                          "spiece.model",
                                          "tokenizer_config.json",
                                          "special_tokens_map.json",
                                          "added_tokens.json",
                                          "chat_template.jinja",
                                          "chat_template.json",
                                          "additional_chat_templates",
                                          "vocab.json",
                                          "merges.txt"};
}

Names result_names(const std::string& path, const std::string& folder) {
  // The manifest names what the run wrote; before it is there, the settings tell which kind of
  // result it was about to write.
  const Json manifest = manifest_of(path);
  if (manifest.is_object()) {
    return listed_names(manifest, folder);
  }
  const Json settings = settings_of(path);
  const bool adapter =
      settings.is_object() && settings.contains("peft") && settings["peft"].is_object();
  const bool wrote_it = settings.is_object() && adapter == (folder == kAdapterFolder);
  return wrote_it ? usual_names(folder) : Names();
}

std::vector<std::string> list_if_there(const std::string& folder) {
  return is_directory(folder) ? file_system().list(folder) : std::vector<std::string>();
}

void remove_result(const std::string& path, const std::string& folder) {
  const std::string place = join_path(path, folder);
  const Names names = result_names(path, folder);
  const std::vector<std::string> there = list_if_there(place);
  if (there.empty()) {
    return;
  }
  // As one act, where nothing in it is anybody else's.
  if (std::ranges::all_of(there, [&](const std::string& n) { return names.contains(n); })) {
    remove_whole(place);
    return;
  }
  for (const std::string& name : there) {
    if (names.contains(name)) {
      remove_whole(join_path(place, name));
    }
  }
}

void remove_checkpoints(const std::string& folder) {
  for (const std::string& name : list_if_there(folder)) {
    const std::string path = join_path(folder, name);
    if (name == "last" || (step_of_name(name) && is_checkpoint_only(path))) {
      remove_whole(path);
    }
  }
}

}  // namespace

bool is_run_directory(const std::string& path) {
  return settings_of(path).is_object() || manifest_of(path).is_object();
}

std::vector<std::string> paths_of_run(const std::string& path) {
  std::vector<std::string> out;
  for (const char* name :
       {kSettings, kManifest, "metrics.jsonl", kAdapterFolder, kModelFolder, kCheckpoints}) {
    out.push_back(join_path(path, name));
  }
  return out;
}

bool is_checkpoint_only(const std::string& folder) {
  return is_directory(folder) && std::ranges::all_of(file_system().list(folder), [](const auto& n) {
           return is_checkpoint_file(n);
         });
}

std::optional<std::string> foreign_file(const std::string& path, const std::string& result) {
  const Names names = result_names(path, result);
  for (const std::string& name : list_if_there(join_path(path, result))) {
    if (!is_leftover(name) && !names.contains(name)) {
      return join_path(path, result + "/" + name);
    }
  }
  const std::string checkpoints = join_path(path, kCheckpoints);
  for (const std::string& name : list_if_there(checkpoints)) {
    for (const std::string& file : step_of_name(name) ? list_if_there(join_path(checkpoints, name))
                                                      : std::vector<std::string>()) {
      if (!is_checkpoint_file(file)) {
        return join_path(checkpoints, name + "/" + file);
      }
    }
  }
  return {};
}

void remove_run(const std::string& path) {
  // The manifest goes last, for it tells which files are the result's, whenever this is cut short.
  remove_checkpoints(join_path(path, kCheckpoints));
  remove_result(path, kAdapterFolder);
  remove_result(path, kModelFolder);
  remove_whole(join_path(path, "metrics.jsonl"));
  remove_whole(join_path(path, kManifest));
}

}  // namespace inlay
