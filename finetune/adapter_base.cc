// SPDX-License-Identifier: Apache-2.0
#include "finetune/adapter_base.h"

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <system_error>

#include "core/config/json.h"
#include "core/error.h"
#include "core/io/file_system.h"
#include "nn/models/rope_override.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

FreeObject shared(const nlohmann::json& json) {
  return {std::make_shared<const Json>(json)};
}

FreeObject parse_option(const std::string& text) {
  constexpr const char* kOption = "--rope-scaling";
  const nlohmann::json json = nlohmann::json::parse(text, nullptr, false);
  if (json.is_null() || (json.is_object() && json.empty())) {
    return {};
  }
  if (!json.is_object()) {
    throw ConfigError(str(kOption,
                          ": expected a JSON object, such as {\"rope_type\": \"linear\", "
                          "\"factor\": 4}, found ",
                          printable(text)));
  }
  for (const auto& [place, what] : rope_scaling_problems(json)) {
    throw ConfigError(str(kOption, ": ", place, ": ", what));
  }
  return shared(json);
}

}  // namespace

FreeObject rope_scaling_of_run(const std::string& adapter) {
  std::error_code ignored;  // of the working directory, without which the path stays as it is
  const std::string path = std::filesystem::absolute(adapter, ignored).lexically_normal().string();
  const std::string parent = parent_path(path);  // of RUN/adapter, or RUN/checkpoints/step-N
  const std::string run = base_name(parent) == "checkpoints" ? parent_path(parent) : parent;
  const std::string file = join_path(run, "config.resolved.json");
  if (!is_file(file)) {
    return {};
  }
  const nlohmann::json settings = read_json(file);
  const auto model = settings.find("model");
  if (model == settings.end() || !model->is_object()) {
    return {};
  }
  const auto scaling = model->find("rope_scaling");
  return scaling != model->end() && scaling->is_object() ? shared(*scaling) : FreeObject();
}

FreeObject rope_scaling_of_base(const std::string& given, std::span<const std::string> adapters) {
  if (!given.empty()) {
    return parse_option(given);
  }
  FreeObject found;
  for (const std::string& adapter : adapters) {
    const FreeObject own = rope_scaling_of_run(adapter);
    const bool same =
        static_cast<bool>(own) == static_cast<bool>(found) && (!own || *own.json == *found.json);
    if (&adapter != adapters.data() && !same) {
      throw ConfigError(str(adapters.front(), " and ", adapter,
                            ": trained with different model.rope_scaling, so no base fits both "
                            "(--rope-scaling chooses one)"));
    }
    found = own;
  }
  return found;
}

std::string rope_scaling_note(const FreeObject& rope_scaling) {
  return str("the adapter is for a base with rope_scaling ", rope_scaling.json->dump(),
             ", which its own files cannot say: elsewhere, set it in the base's config.json (inlay "
             "merge writes it)");
}

}  // namespace inlay
