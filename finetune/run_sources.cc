// SPDX-License-Identifier: Apache-2.0
#include "finetune/run_sources.h"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "core/io/file_system.h"
#include "core/io/sha256.h"

namespace inlay {
namespace {

using Files = std::vector<SourceFile>;

struct Role {
  const char* key;   // in JSON
  const char* what;  // in messages
  Files RunSources::*files;
};

constexpr Role kRoles[] = {
    {"base", "base model", &RunSources::base},
    {"tokenizer", "tokenizer", &RunSources::tokenizer},
    {"chat_template", "chat template", &RunSources::chat_template},
    {"adapter", "adapter to start from", &RunSources::adapter},
    {"train", "data", &RunSources::train},
    {"validation", "data", &RunSources::validation},
};

// File systems keep times to two seconds at worst.
constexpr i64 kSettledNs = 2'000'000'000;

i64 now_ns() {
  return std::chrono::duration_cast<std::chrono::nanoseconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// "b" for "a/b" in "a", "a" for "a" itself, nothing for what is elsewhere. Of subfolders only the
// one with a tokenizer's further templates counts: a run may be below the model it starts from.
std::optional<std::string> name_in(const std::string& folder, const std::string& path) {
  const std::filesystem::path place = std::filesystem::path(path).lexically_normal();
  std::filesystem::path top = std::filesystem::path(folder).lexically_normal();
  if (!top.has_filename()) {
    top = top.parent_path();
  }
  if (place == top) {
    return base_name(path);
  }
  const std::string name = place.lexically_relative(top).string();
  const bool in_it = is_plain_name(name) || parent_path(name) == "additional_chat_templates";
  return in_it ? std::optional(name) : std::nullopt;
}

bool is_template(const std::string& name) {
  return name.ends_with(".jinja") || name == "chat_template.json";
}

struct Place {
  Files RunSources::*files;
  std::string name;
};

// What a file that was read is to the run; nothing for files that touch no number.
std::optional<Place> place_of(const std::string& path, const RunConfig& config,
                              const LoadedModel& model) {
  if (path == config.data.train) {
    return Place{&RunSources::train, base_name(path)};
  }
  if (path == config.data.validation) {
    return Place{&RunSources::validation, base_name(path)};
  }
  if (path == config.model.chat_template) {
    return Place{&RunSources::chat_template, base_name(path)};
  }
  if (config.peft && config.peft->init_from) {
    if (auto name = name_in(*config.peft->init_from, path)) {
      return Place{&RunSources::adapter, *name};
    }
  }
  if (model.checkpoint != nullptr) {
    if (auto name = name_in(model.name, path)) {
      const std::vector<std::string> weights = model.checkpoint->files();
      const bool is_base = *name == "config.json" || name->ends_with(".index.json") ||
                           std::ranges::find(weights, path) != weights.end();
      return *name == "generation_config.json" ? std::nullopt  // says when to stop generating
             : is_base                         ? std::optional(Place{&RunSources::base, *name})
             : is_template(*name) ? std::optional(Place{&RunSources::chat_template, *name})
                                  : std::optional(Place{&RunSources::tokenizer, *name});
    }
    const std::vector<std::string> weights = model.checkpoint->files();
    if (std::ranges::find(weights, path) != weights.end()) {  // parts beside a first file
      return Place{&RunSources::base, base_name(path)};
    }
  }
  if (config.model.tokenizer) {
    const std::string& tokenizer = *config.model.tokenizer;
    const std::string folder = is_directory(tokenizer) ? tokenizer : parent_path(tokenizer);
    if (auto name = name_in(folder, path)) {
      return is_template(*name) ? Place{&RunSources::chat_template, *name}
                                : Place{&RunSources::tokenizer, *name};
    }
  }
  return {};
}

const SourceFile* find(const Files& files, const std::string& name) {
  const auto it = std::ranges::find(files, name, &SourceFile::name);
  return it == files.end() ? nullptr : &*it;
}

// Unchanged since it was hashed, as far as that can be told without reading it.
bool stands_as_hashed(const SourceFile& known, const FileStamp& stamp) {
  return known.settled && known.stamp.inode == stamp.inode && known.stamp.size == stamp.size &&
         known.stamp.modified == stamp.modified && known.stamp.changed == stamp.changed;
}

void check_same_files(const Role& role, const Files& before, const Files& now) {
  const std::string keep = str("; a resumed run must keep its ", role.what);
  for (const SourceFile& file : now) {
    const SourceFile* old = find(before, file.name);
    if (old == nullptr) {
      throw DataError(str(printable(file.path, 300),
                          ": the file was not there when the run began, and is read now", keep));
    }
    if (old->sha256 != file.sha256) {
      throw DataError(str(printable(file.path, 300),
                          ": the file has changed since the run began (its SHA-256 is another)",
                          keep));
    }
  }
  for (const SourceFile& file : before) {
    if (find(now, file.name) == nullptr) {
      throw DataError(
          str(printable(file.path, 300), ": the run began with this file, which is gone", keep));
    }
  }
}

}  // namespace

void add_sources(const RunConfig& config, const LoadedModel& model, const ReadLog& log,
                 const RunSources& known, RunSources& sources) {
  for (const ReadLog::Entry& entry : log.entries()) {
    const auto place = place_of(entry.path, config, model);
    if (!place || find(sources.*place->files, place->name) != nullptr) {
      continue;
    }
    SourceFile file{place->name, entry.path, entry.stamp, "", false};
    const SourceFile* old = find(known.*place->files, file.name);
    if (old != nullptr && stands_as_hashed(*old, entry.stamp)) {
      file.sha256 = old->sha256;
      file.settled = true;
    } else {
      // Before the hash: a write during it then counts as one after the stamp.
      file.settled = now_ns() - entry.stamp.changed > kSettledNs;
      file.sha256 = sha256_file(entry.path);
    }
    // After the hash, which then is of what was read.
    if (const std::string change = change_since(entry.stamp, entry.path); !change.empty()) {
      throw DataError(str(printable(entry.path, 300), ": ", change, " while the run read it"));
    }
    (sources.*place->files).push_back(std::move(file));
  }
}

void check_same_sources(const RunSources& before, const RunSources& now, bool rows_are_ids) {
  for (const Role& role : kRoles) {
    const bool reads_text =
        role.files == &RunSources::tokenizer || role.files == &RunSources::chat_template;
    // A checkpoint has taken the place of the adapter it began from; rows of ids need no tokenizer.
    if (role.files != &RunSources::adapter && !(reads_text && rows_are_ids)) {
      check_same_files(role, before.*role.files, now.*role.files);
    }
  }
}

nlohmann::ordered_json sources_json(const RunSources& sources) {
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  for (const Role& role : kRoles) {
    for (const SourceFile& file : sources.*role.files) {
      nlohmann::ordered_json facts = {{"name", file.name},
                                      {"path", file.path},
                                      {"bytes", file.stamp.size},
                                      {"sha256", file.sha256}};
      if (file.settled) {
        facts["inode"] = file.stamp.inode;
        facts["modified_ns"] = file.stamp.modified;
        facts["changed_ns"] = file.stamp.changed;
      }
      out[role.key].push_back(std::move(facts));
    }
  }
  return out;
}

RunSources sources_from_json(const nlohmann::json& json) {
  RunSources sources;
  for (const Role& role : kRoles) {
    if (!json.contains(role.key)) {
      continue;
    }
    for (const nlohmann::json& facts : json.at(role.key)) {
      SourceFile file;
      file.name = facts.at("name").get<std::string>();
      file.path = facts.at("path").get<std::string>();
      file.stamp.size = facts.at("bytes").get<i64>();
      file.sha256 = facts.at("sha256").get<std::string>();
      file.settled = facts.contains("inode");
      if (file.settled) {
        file.stamp.inode = facts.at("inode").get<u64>();
        file.stamp.modified = facts.at("modified_ns").get<i64>();
        file.stamp.changed = facts.at("changed_ns").get<i64>();
      }
      (sources.*role.files).push_back(std::move(file));
    }
  }
  return sources;
}

}  // namespace inlay
