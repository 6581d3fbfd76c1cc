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
    for (const TensorEntry& entry : files_[0].entries()) {
      entries_.push_back(&entry);
    }
  }
  std::sort(entries_.begin(), entries_.end(),
            [](const TensorEntry* a, const TensorEntry* b) { return a->name < b->name; });
}

void SafetensorsModel::read_index(const std::string& path) {
  const std::map<std::string, std::string> shard_of = read_weight_map(path);
  std::map<std::string, i64> opened;
  for (const auto& [name, shard] : shard_of) {
    if (opened.emplace(shard, static_cast<i64>(files_.size())).second) {
      const std::string file = join_path(parent_path(path), shard);
      if (!is_file(file)) {
        throw DataError(str(printable(path, 300), ": /weight_map: \"", printable(name),
                            "\": no file ", printable(shard), " in the folder"));
      }
      files_.emplace_back(file);
    }
  }
  for (const auto& [name, shard] : shard_of) {
    const TensorEntry* entry = files_[opened[shard]].find(name);
    if (entry == nullptr) {
      throw DataError(str(printable(path, 300), ": /weight_map: \"", printable(name),
                          "\" is not in ", printable(shard)));
    }
    entries_.push_back(entry);
  }
  for (const auto& [shard, file] : opened) {
    for (const TensorEntry& entry : files_[file].entries()) {
      const auto mapped = shard_of.find(entry.name);
      if (mapped == shard_of.end() || mapped->second != shard) {
        notices_.push_back(str(printable(files_[file].path(), 300), ": \"", printable(entry.name),
                               "\" is not in the index and is left out"));
      }
    }
  }
}

const TensorEntry* SafetensorsModel::find(std::string_view name) const {
  const auto found = std::lower_bound(
      entries_.begin(), entries_.end(), name,
      [](const TensorEntry* entry, std::string_view n) { return entry->name < n; });
  return found != entries_.end() && (*found)->name == name ? *found : nullptr;
}

const TensorEntry& SafetensorsModel::at(std::string_view name) const {
  return detail::require_tensor(path_, name, find(name), entries_);
}

}  // namespace inlay
