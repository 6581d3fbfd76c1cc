// SPDX-License-Identifier: Apache-2.0
#include "core/config/run_file.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>
#include <vector>

#include "core/config/json.h"
#include "core/error.h"
#include "core/io/file_system.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

/// Written by hand, a run config has a few kilobytes and a hundred values. Objects in the order of
/// the file are searched from the front, so the number of keys is what bounds the time.
constexpr i64 kMaxConfigBytes = 1 << 20;
constexpr i64 kMaxConfigValues = 5'000;

struct Layer {
  std::string path;
  Json object;
};

bool is_stdin(const std::string& path) {
  return path == "-";
}

/// The path as messages have it.
std::string shown(const std::string& path) {
  return is_stdin(path) ? "stdin" : path;
}

std::string directory_of(const std::string& path) {
  return config_folder(path).value_or("");
}

/// Whether the path leads to an open descriptor of a process, as /dev/stdin and /dev/fd/63 do.
bool leads_to_descriptor(const std::string& path) {
  namespace fs = std::filesystem;
  constexpr int kMaxLinks = 40;  // as many as the system follows
  std::error_code error;
  fs::path at = path;
  for (int links = 0; links < kMaxLinks; ++links) {
    const fs::path folder =
        fs::weakly_canonical(at.has_parent_path() ? at.parent_path() : ".", error);
    if (folder.string().starts_with("/proc/")) {
      return true;
    }
    if (!fs::is_symlink(at, error)) {
      return false;
    }
    at = folder / fs::read_symlink(at, error);
  }
  return false;
}

Json read_object(const std::string& path) {
  const JsonOptions options{.comments = true, .max_values = kMaxConfigValues};
  Json json;
  try {
    json = parse_ordered_json(
        file_system().read(is_stdin(path) ? "/dev/stdin" : path, kMaxConfigBytes), shown(path),
        options);
    // Not the config's fault, as all that follows is.
  } catch (const MemoryError&) {
    throw;
  } catch (const Error& error) {  // whatever is wrong with it, it is the config that is wrong
    throw ConfigError(error.what());
  }
  if (!json.is_object()) {
    throw ConfigError(str(printable(shown(path), 300), ": expected a JSON object"));
  }
  return json;
}

/// Takes the key "extends" out of the layer and returns the path it names.
std::optional<std::string> take_base(Layer& layer) {
  const auto extends = layer.object.find("extends");
  if (extends == layer.object.end()) {
    return std::nullopt;
  }
  if (!extends->is_string() || extends->get_ref<const std::string&>().empty()) {
    throw ConfigError(str(printable(shown(layer.path), 300), ": /extends: expected a path"));
  }
  const std::string base =
      (std::filesystem::path(directory_of(layer.path)) / extends->get<std::string>())
          .lexically_normal()
          .string();
  layer.object.erase("extends");
  return base;
}

/// The same for two names of one file, also where there is no such file.
std::string identity(const std::string& path) {
  std::error_code ignored;
  return std::filesystem::weakly_canonical(path, ignored).string();
}

/// The file and those it extends, in that order.
std::vector<Layer> read_layers(const std::string& path) {
  std::vector<Layer> layers;
  std::vector<std::string> seen;
  std::optional<std::string> next = path;
  while (next.has_value()) {
    // By what the path leads to: two spellings of one file are a circle, too.
    if (std::find(seen.begin(), seen.end(), identity(*next)) != seen.end()) {
      throw ConfigError(str(printable(shown(layers.back().path), 300),
                            ": /extends: ", printable(*next, 300), " is extended in a circle"));
    }
    seen.push_back(identity(*next));
    layers.push_back({*next, read_object(*next)});
    next = take_base(layers.back());
  }
  return layers;
}

std::vector<std::string> split_keys(std::string_view keys) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (true) {
    const std::size_t dot = keys.find('.', begin);
    parts.emplace_back(keys.substr(begin, dot - begin));
    if (dot == std::string_view::npos) {
      return parts;
    }
    begin = dot + 1;
  }
}

Json parse_value(std::string_view text) {
  try {
    return parse_ordered_json(text, "--set", {.max_values = kMaxConfigValues});
  } catch (const DataError&) {
    return Json(std::string(text));
  }
}

/// A command line may hold any bytes, JSON strings only UTF-8.
bool is_utf8(std::string_view text) {
  try {
    return !Json(text).dump().empty();
  } catch (const Json::exception&) {
    return false;
  }
}

}  // namespace

std::optional<std::string> config_folder(const std::string& path) {
  const FileKind kind = is_stdin(path) ? FileKind::kOther : file_system().info(path).kind;
  if (kind == FileKind::kOther || leads_to_descriptor(path)) {
    return std::nullopt;
  }
  return std::filesystem::path(path).parent_path().string();
}

ConfigDocument load_run_file(const std::string& path, std::span<const std::string> overrides) {
  std::vector<Layer> layers = read_layers(path);
  ConfigDocument document;
  document.set_root_origin({shown(path), directory_of(path)});
  // The base first, so that what extends it overrides it.
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
    document.overlay(std::move(layer->object), {shown(layer->path), directory_of(layer->path)});
  }
  for (const std::string& assignment : overrides) {
    apply_override(document, assignment);
  }
  return document;
}

void apply_override(ConfigDocument& document, std::string_view assignment) {
  const std::string source = "--set " + printable(assignment, 120);
  const std::size_t equals = assignment.find('=');
  const std::vector<std::string> keys = split_keys(assignment.substr(0, equals));
  const bool empty_key = std::find(keys.begin(), keys.end(), "") != keys.end();
  if (equals == std::string_view::npos || empty_key) {
    throw ConfigError(str(source, ": expected KEY=VALUE with the parts of the key joined by dots, ",
                          "such as training.learning_rate=1e-4"));
  }
  if (!is_utf8(assignment)) {
    throw ConfigError(str(source, ": expected UTF-8 text"));
  }
  Json value = parse_value(assignment.substr(equals + 1));
  // From the inside: c, {"b": c}, {"a": {"b": c}}.
  for (auto key = keys.rbegin(); key != keys.rend(); ++key) {
    Json object = Json::object();
    object[*key] = std::move(value);
    value = std::move(object);
  }
  document.overlay(std::move(value), {source, ""});
}

}  // namespace inlay
