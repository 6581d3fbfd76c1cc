// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/choice.h"
#include "core/types.h"
#include "data/example.h"

namespace inlay {

struct RowText;
struct TextReading;

/// What the columns of a row mean: a line of the table in row_format.cc, where a new format is
/// added. The config's schema, its checks, the errors and the loading read that table. Other
/// columns than those of a row's format are not used (which is noted).
///
/// A column that is null counts as one that is not there: tables write null for what a row lacks.
struct RowFormat {
  enum class Messages {
    kNever,
    kSometimes,  // in place of strings: a row tells
    kAlways,
  };

  std::string_view name;                   // "prompt_completion"
  std::vector<std::string> needed;         // columns; those of two formats differ
  std::vector<std::string> optional = {};  // read where they are there
  /// Whether completion_only_loss has something to choose.
  bool completion = false;
  /// Whether assistant_only_loss has.
  Messages messages = Messages::kNever;
  /// Whether a line of a .txt file is such a row; one format has them.
  bool plain_text = false;
  // The row's reader, one of the two. REQUIRE the needed columns; throw EmptyRow and DataError.
  RowText (*read_text)(const nlohmann::ordered_json& row, const TextReading& reading) = nullptr;
  Example (*read_ids)(const nlohmann::ordered_json& row, std::optional<i64> vocab_size) = nullptr;

  /// Whether rows are token ids, for which no tokenizer is needed.
  bool is_ids() const { return read_ids != nullptr; }
};

template <>
struct ChoicesOf<const RowFormat*> {
  static std::span<const Choice<const RowFormat*>> all();
};

/// The format of that name; null for "auto". Throws ConfigError for any other.
const RowFormat* row_format_by_name(std::string_view name);

/// That of a .txt file's lines.
const RowFormat* plain_text_format();

/// "alpaca and prompt_completion": the formats with a completion, and those with messages, which
/// come first where they always have them.
std::string formats_with_completion();
std::string formats_with_messages();

/// The format whose columns `row` has. Throws DataError when that is none, or more than one.
const RowFormat* judge_row_format(const nlohmann::ordered_json& row);

/// Whether nothing is in a row: no columns, or null in all of them.
bool is_empty_row(const nlohmann::ordered_json& row);

/// Throws DataError unless `row` is an object with the columns that `format` needs.
void check_columns(const nlohmann::ordered_json& row, const RowFormat& format);

/// The columns of `row` with something in them that `format` makes no use of.
std::vector<std::string> unused_columns(const nlohmann::ordered_json& row, const RowFormat& format);

}  // namespace inlay
