// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "core/config/json.h"
#include "core/error.h"
#include "core/io/safetensors.h"

namespace inlay {
namespace {

constexpr std::string_view kIndexEnding = ".safetensors.index.json";

bool is_pickle(std::string_view name) {
  return name.ends_with(".bin") || name.ends_with(".pt") || name.ends_with(".pth");
}

/// The file or index in a folder; throws with a hint at what is there instead.
std::string find_in_folder(const std::string& folder, const std::string& stem) {
  std::string single = join_path(folder, stem + ".safetensors");
  std::string index = join_path(folder, stem + std::string(kIndexEnding));
  if (exists(single)) {
    return single;
  }
  if (exists(index)) {
    return index;
  }
  for (const std::string& name : file_system().list(folder)) {
    if (is_pickle(name)) {
      throw DataError(str(printable(join_path(folder, name), 300),
                          ": a pickle file, which can run any code when it is read; save the model "
                          "as safetensors (save_pretrained does so) and use that"));
    }
  }
  throw DataError(str(printable(folder, 300), ": neither ", stem, ".safetensors nor ", stem,
                      kIndexEnding, " is there"));
}

/// weight_map of an index: tensor name -> shard, each a plain file name.
std::map<std::string, std::string> read_weight_map(const std::string& path) {
  const nlohmann::json json = read_json(path);
  const std::string where = printable(path, 300) + ": ";
  if (!json.is_object() || !json.contains("weight_map") || !json["weight_map"].is_object()) {
    throw DataError(where + "/weight_map: expected an object of tensor names and file names");
  }
  std::map<std::string, std::string> shards;
  for (const auto& [name, shard] : json["weight_map"].items()) {
    if (!shard.is_string() || !is_plain_name(shard.get_ref<const std::string&>())) {
      const std::string found = shard.is_string()
                                    ? str("\"", printable(shard.get<std::string>()), "\"")
                                    : std::string(shard.type_name());
      throw DataError(str(where, "/weight_map: \"", printable(name),
                          "\": expected the name of a file in the same folder, found ", found));
    }
    shards[name] = shard.get<std::string>();
  }
  return shards;
}

}  // namespace

SafetensorsModel::SafetensorsModel(const std::string& path, const std::string& stem) : path_(path) {
  const std::string file = is_directory(path) ? find_in_folder(path, stem) : path;
  if (is_pickle(file)) {
    throw DataError(
        str(printable(file, 300),
            ": a pickle file, which can run any code when it is read; use safetensors"));
  }
  if (file.ends_with(kIndexEnding)) {
    read_index(file);
  } else {
    files_.emplace_back(file);
    take_entries();
  }
}

void SafetensorsModel::read_index(const std::string& path) {
  const std::map<std::string, std::string> shard_of = read_weight_map(path);
  std::map<std::string, std::string> first_tensor;  // of each shard, in the shards' order
  for (const auto& [name, shard] : shard_of) {
    first_tensor.emplace(shard, name);
  }
  for (const auto& [shard, name] : first_tensor) {
    const std::string file = join_path(parent_path(path), shard);
    if (!is_file(file)) {
      throw DataError(str(printable(path, 300), ": /weight_map: \"", printable(name),
                          "\": no file ", printable(shard), " in the folder"));
    }
    files_.emplace_back(file);
  }
  take_entries();
  for (const auto& [name, shard] : shard_of) {
    if (find(name) == nullptr) {
      absent_[name] = shard;
    }
  }
}

void SafetensorsModel::take_entries() {
  for (const SafetensorsFile& file : files_) {
    for (const TensorEntry& entry : file.entries()) {
      entries_.push_back(&entry);
    }
  }
  std::ranges::stable_sort(entries_, {}, &TensorEntry::name);
  const auto twice = [](const TensorEntry* a, const TensorEntry* b) {
    if (a->name != b->name) {
      return false;
    }
    if (a->stored_dtype != b->stored_dtype || a->shape != b->shape ||
        !std::ranges::equal(a->data, b->data)) {
      throw DataError(str(printable(b->file->path(), 300), ": \"", printable(b->name), "\" is in ",
                          printable(base_name(a->file->path())), " too, with other values"));
    }
    return true;
  };
  const auto rest = std::ranges::unique(entries_, twice);
  entries_.erase(rest.begin(), rest.end());
}

const TensorEntry* SafetensorsModel::find(std::string_view name) const {
  const auto found = std::lower_bound(
      entries_.begin(), entries_.end(), name,
      [](const TensorEntry* entry, std::string_view n) { return entry->name < n; });
  return found != entries_.end() && (*found)->name == name ? *found : nullptr;
}

const TensorEntry& SafetensorsModel::at(std::string_view name) const {
  if (const auto absent = absent_.find(std::string(name)); absent != absent_.end()) {
    throw DataError(str(printable(path_, 300), ": the index has \"", printable(name), "\" in ",
                        printable(absent->second), ", which does not hold it"));
  }
  return detail::require_tensor(path_, name, find(name), entries_);
}

}  // namespace inlay
