// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

namespace inlay {

/// What the columns of a row mean. Other columns than these are ignored.
///
///   text               text
///   prompt_completion  prompt, completion: both strings, or both lists of messages
///   messages           messages; tools, chat_template_kwargs if they are there
///   alpaca             instruction, output; input if it is there
///   tokens             input_ids; labels if they are there
enum class RowFormat { kText, kPromptCompletion, kMessages, kAlpaca, kTokens };

/// "prompt_completion" …
std::string_view row_format_name(RowFormat format);

/// The format of that name; nothing for "auto". Throws ConfigError for any other.
std::optional<RowFormat> row_format_by_name(std::string_view name);

/// The format whose columns `row` has. Throws DataError when that is none, or more than one.
RowFormat judge_row_format(const nlohmann::ordered_json& row);

/// Throws DataError unless `row` is an object with the columns that `format` needs.
void check_columns(const nlohmann::ordered_json& row, RowFormat format);

}  // namespace inlay
