// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>

#include "core/config/fields.h"

/// Config structs back to JSON: every field, in the order of declaration, numbers so that they read
/// back as the same bits.
namespace inlay {

struct WriteOptions {
  /// Where the file will be: relative paths are then written relative to this directory, so that
  /// reading it back means the same files. Not given: relative to the working directory.
  std::optional<std::string> directory;
};

nlohmann::ordered_json write_fields(const Fields& source, const WriteOptions& options = {});

/// JSON text with an indent of two and a newline at its end. Throws ConfigError for a string that
/// is not UTF-8, which only paths can be.
std::string json_text(const nlohmann::ordered_json& json);

std::string fields_text(const Fields& source, const WriteOptions& options = {});

/// By value: `fields` is for writing too, so it takes no const struct.
template <class Struct>
std::string config_text(Struct value, const WriteOptions& options = {}) {
  return fields_text(Fields(value), options);
}

}  // namespace inlay
