// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/config/document.h"
#include "core/config/fields.h"

/// JSON to config structs, with one sentence for each mistake:
///   configs/qlora.json: /peft/lora_aplha: unknown key (did you mean "lora_alpha"?)
///   configs/qlora.json: /peft/r: expected an integer from 1 to 1024, found 0
namespace inlay {

struct ReadOptions {
  enum class UnknownKeys {
    kRefuse,
    kRefuseIfSet,  ///< null, false, "", [] and {} pass: what a newer writer says of what is off
    kIgnore,
  };
  UnknownKeys unknown_keys = UnknownKeys::kRefuse;
  /// Mistakes are DataError (somebody's file) and not ConfigError (the user's own).
  bool data_file = false;
};

/// Mistakes found in a document, in the order found. All are reported together, a line each, since
/// one mistake rarely comes alone.
class Problems {
 public:
  explicit Problems(const ConfigDocument& document) : document_(document) {}

  /// `<source>: <pointer>: <what>`, the source being who wrote that value.
  void add(std::string_view pointer, std::string_view what);
  /// Throws ConfigError, or DataError for a data file, if there are any.
  void throw_if_any(bool data_file = false) const;

 private:
  const ConfigDocument& document_;
  std::vector<std::string> lines_;
};

/// Fills the struct from the document; keys that are absent leave their fields as they are. Throws
/// after the whole document has been looked at.
void read_fields(const ConfigDocument& document, const Fields& target,
                 const ReadOptions& options = {});

template <class Struct>
Struct read_config(const ConfigDocument& document, const ReadOptions& options = {}) {
  Struct value;
  read_fields(document, Fields(value), options);
  return value;
}

/// The path `text` said in a file of `directory`: normalised, relative to the working directory
/// unless one of the two is absolute.
std::string resolved_path(std::string_view text, std::string_view directory);
/// The same for a kPathOrName: a name that is no file there stays as it is, unless it starts with
/// "/", "./" or "../".
std::string resolved_path_or_name(std::string_view text, std::string_view directory);

}  // namespace inlay
