// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace inlay {

/// What the columns of a row mean. Other columns than these are not used (which is noted).
///
///   text               text
///   prompt_completion  prompt, completion: both strings, or both lists of messages
///   messages           messages; tools, chat_template_kwargs if they are there
///   alpaca             instruction, output; input, system, history if they are there
///   sharegpt           conversations; system, tools, chat_template_kwargs if they are there
///   tokens             input_ids; labels if they are there
///
/// A column that is null counts as one that is not there: tables write null for what a row lacks.
enum class RowFormat { kText, kPromptCompletion, kMessages, kAlpaca, kShareGpt, kTokens };

/// "prompt_completion" …
std::string_view row_format_name(RowFormat format);

/// The format of that name; nothing for "auto". Throws ConfigError for any other.
std::optional<RowFormat> row_format_by_name(std::string_view name);

/// The format whose columns `row` has. Throws DataError when that is none, or more than one.
RowFormat judge_row_format(const nlohmann::ordered_json& row);

/// Whether nothing is in a row: no columns, or null in all of them.
bool is_empty_row(const nlohmann::ordered_json& row);

/// Throws DataError unless `row` is an object with the columns that `format` needs.
void check_columns(const nlohmann::ordered_json& row, RowFormat format);

/// The columns of `row` with something in them that `format` makes no use of.
std::vector<std::string> unused_columns(const nlohmann::ordered_json& row, RowFormat format);

}  // namespace inlay
