// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "core/config/fields.h"

/// JSON Schema (draft 2020-12) of a config struct, for editors and other people's checks. It says
/// what the reader checks: types, ranges, choices, no other keys. Only the limits of 64-bit
/// integers are left unsaid.
namespace inlay {

/// `extends` allows the key "extends" at the top, which load_run_file takes out.
struct SchemaOptions {
  bool extends = false;
};

std::string fields_schema(const Fields& defaults, std::string_view title,
                          const SchemaOptions& options = {});

template <class Struct>
std::string config_schema(std::string_view title, const SchemaOptions& options = {}) {
  Struct defaults;
  return fields_schema(Fields(defaults), title, options);
}

}  // namespace inlay
