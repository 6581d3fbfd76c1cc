// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/config/fields.h"

/// The fields of a config struct as rows, for `--help` and "did you mean".
namespace inlay {

struct FieldRow {
  std::string pointer;        // "/peft/r"; "/items/*/name" inside a list of objects
  std::string type;           // "an integer from 1 to 1024"
  std::string default_value;  // as JSON; "" for nested objects
  std::string help;
};

/// In the order of declaration, a nested struct before its fields.
std::vector<FieldRow> field_rows(const Fields& defaults);

template <class Struct>
std::vector<FieldRow> field_rows() {
  Struct defaults;
  return field_rows(Fields(defaults));
}

/// "peft.r" for "/peft/r", as --set takes it.
std::string dotted_key(const std::string& pointer);

/// A paragraph a field: key, default and type on the first line, the help under it, wrapped.
std::string help_text(std::span<const FieldRow> rows);

}  // namespace inlay
