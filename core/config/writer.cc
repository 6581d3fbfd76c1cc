// SPDX-License-Identifier: Apache-2.0
#include "core/config/writer.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"
#include "core/io/file_system.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;
using Kind = FieldType::Kind;

/// `path` (relative to the working directory) as a file in `directory` says it.
std::string path_from(const std::string& path, const std::string& directory) {
  namespace fs = std::filesystem;
  if (fs::path(path).is_absolute()) {
    return path;
  }
  const fs::path start = fs::absolute(directory.empty() ? "." : directory);
  return fs::absolute(path)
      .lexically_normal()
      .lexically_relative(start.lexically_normal())
      .string();
}

/// A value of `type` with its paths as a file in `directory` says them.
Json relocated(Json json, const FieldType& type, const std::string& directory) {
  if (type.kind == Kind::kOneOf) {
    // "bytes" beside a path is a word, not a file of that name.
    const std::vector<std::string> words = choices_of(type);
    if (json.is_string() &&
        std::find(words.begin(), words.end(), json.get<std::string>()) != words.end()) {
      return json;
    }
    for (const FieldType& part : type.parts) {
      json = relocated(std::move(json), part, directory);
    }
  } else if (json.is_structured() && (type.kind == Kind::kList || type.kind == Kind::kMap)) {
    for (Json& element : json) {
      element = relocated(std::move(element), type.parts[0], directory);
    }
  } else if (json.is_string() && (type.kind == Kind::kPath || type.kind == Kind::kPathOrName)) {
    const std::string text = json.get<std::string>();
    // The reader's own rule: a name is a path where there is such a file.
    const bool is_path = type.kind == Kind::kPath || exists(text);
    return is_path ? path_from(text, directory) : text;
  }
  return json;
}

class Writer : public FieldVisitor {
 public:
  explicit Writer(const WriteOptions& options) : options_(options) {}
  Json take() { return std::move(object_); }

 protected:
  void on_field(const Field& field) override {
    Json json = field.value.get();
    object_[std::string(field.key)] =
        options_.directory.has_value() ? relocated(std::move(json), field.type, *options_.directory)
                                       : std::move(json);
  }

  void on_structs(std::string_view key, const StructSlot& structs,
                  std::string_view /*help*/) override {
    Json& value = object_[std::string(key)];
    if (structs.form() == StructSlot::Form::kMany) {
      value = Json::array();
      for (i64 i = 0; i < structs.size(); ++i) {
        value.push_back(written(structs, i));
      }
    } else if (structs.size() > 0) {
      value = written(structs, 0);
    }
  }

 private:
  Json written(const StructSlot& structs, i64 index) const {
    Writer inside(options_);
    structs.visit(index, inside);
    return inside.take();
  }

  const WriteOptions& options_;
  Json object_ = Json::object();
};

}  // namespace

Json write_fields(const Fields& source, const WriteOptions& options) {
  Writer writer(options);
  source.visit(writer);
  return writer.take();
}

std::string fields_text(const Fields& source, const WriteOptions& options) {
  return json_text(write_fields(source, options));
}

std::string json_text(const Json& json) {
  try {
    return json.dump(2) + "\n";
  } catch (const Json::exception&) {
    throw ConfigError("a path that is not UTF-8 cannot be written to a JSON file");
  }
}

}  // namespace inlay
