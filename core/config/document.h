// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

/// A JSON object put together from layers (a file, the file it extends, --set options), where every
/// value knows the layer that wrote it: an error names the right file, and a relative path starts
/// at the right directory.
namespace inlay {

class ConfigDocument {
 public:
  struct Origin {
    std::string source;     // for messages: "configs/a.json", "--set training.seed=1"
    std::string directory;  // where relative paths start; "" is the working directory
  };

  ConfigDocument();
  ConfigDocument(ConfigDocument&&) noexcept;
  ConfigDocument& operator=(ConfigDocument&&) noexcept;
  ~ConfigDocument();

  /// A document of one layer, of which `json` may be any value.
  static ConfigDocument single(nlohmann::ordered_json json, Origin origin);

  /// Puts an object over what is there: objects merge key by key, everything else replaces. An
  /// overriding key keeps its place in the order, new ones go to the end.
  void overlay(nlohmann::ordered_json object, const Origin& origin);

  /// Errors about the document as a whole name this source.
  void set_root_origin(Origin origin);

  const nlohmann::ordered_json& json() const { return *json_; }
  /// Who wrote the value at a JSON pointer; where nothing is written, who wrote the object around.
  const Origin& origin(std::string_view pointer) const;

 private:
  void merge(nlohmann::ordered_json& base, nlohmann::ordered_json&& above,
             const std::string& pointer, i64 origin);
  void claim(const std::string& pointer, i64 origin);

  std::unique_ptr<nlohmann::ordered_json> json_;
  std::vector<Origin> origins_;                  // [0] is the root's
  std::map<std::string, i64, std::less<>> who_;  // pointer -> index; speaks for all that is inside
};

}  // namespace inlay
