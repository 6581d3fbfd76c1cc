// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/row_format.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/error.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

struct FormatColumns {
  RowFormat format;
  std::string_view name;
  std::vector<std::string> needed;
  std::vector<std::string> optional = {};
};

const std::vector<FormatColumns>& formats() {
  static const std::vector<FormatColumns> all = {
      {RowFormat::kText, "text", {"text"}},
      {RowFormat::kPromptCompletion,
       "prompt_completion",
       {"prompt", "completion"},
       {"tools", "chat_template_kwargs"}},
      {RowFormat::kMessages, "messages", {"messages"}, {"tools", "chat_template_kwargs"}},
      {RowFormat::kAlpaca, "alpaca", {"instruction", "output"}, {"input", "system", "history"}},
      {RowFormat::kShareGpt,
       "sharegpt",
       {"conversations"},
       {"system", "tools", "chat_template_kwargs"}},
      {RowFormat::kTokens, "tokens", {"input_ids"}, {"labels", "attention_mask"}},
  };
  return all;
}

const FormatColumns& columns_of(RowFormat format) {
  return *std::find_if(formats().begin(), formats().end(),
                       [&](const FormatColumns& f) { return f.format == format; });
}

/// `"a", "b"`, at most so many that a message stays readable.
template <class Names>
std::string quoted(const Names& names) {
  constexpr int kMaxNames = 12;
  std::string list;
  int count = 0;
  for (const std::string& name : names) {
    if (count++ == kMaxNames) {
      return list + ", …";
    }
    list += str(list.empty() ? "" : ", ", '"', printable(name), '"');
  }
  return list;
}

std::vector<std::string> keys_of(const Json& row) {
  std::vector<std::string> keys;
  for (const auto& [key, value] : row.items()) {
    keys.push_back(key);
  }
  return keys;
}

std::string columns_found(const Json& row) {
  return row.empty() ? "no columns" : "the columns " + quoted(keys_of(row));
}

void check_object(const Json& row) {
  if (!row.is_object()) {
    throw DataError(str("a row must be an object, not ", row.type_name()));
  }
}

bool has_value(const Json& row, const std::string& column) {
  return row.contains(column) && !row[column].is_null();
}

/// The formats whose columns are all there.
template <class IsThere>
std::vector<const FormatColumns*> formats_with(const Json& row, const IsThere& is_there) {
  std::vector<const FormatColumns*> fitting;
  for (const FormatColumns& f : formats()) {
    if (std::all_of(f.needed.begin(), f.needed.end(),
                    [&](const std::string& column) { return is_there(row, column); })) {
      fitting.push_back(&f);
    }
  }
  return fitting;
}

/// ` (did you mean …?)` for the column of `row` that looks like a slip for one that is not there.
std::string near_miss(const Json& row, const std::vector<std::string>& needed) {
  for (const std::string& key : keys_of(row)) {
    const bool known = std::find(needed.begin(), needed.end(), key) != needed.end();
    const std::string nearest = known ? "" : nearest_name(key, needed);
    if (!nearest.empty() && !row.contains(nearest)) {
      return str(" (did you mean \"", nearest, "\" by \"", printable(key), "\"?)");
    }
  }
  return "";
}

[[noreturn]] void fail_unknown(const Json& row) {
  std::string needs;
  std::vector<std::string> known;
  for (const FormatColumns& f : formats()) {
    needs += str(needs.empty() ? "" : "; ", f.name, ": ", quoted(f.needed));
    known.insert(known.end(), f.needed.begin(), f.needed.end());
  }
  throw DataError(str("the row has ", columns_found(row),
                      row.empty() ? "" : ", which fit no format", near_miss(row, known),
                      "; needed are for ", needs));
}

}  // namespace

std::string_view row_format_name(RowFormat format) {
  return columns_of(format).name;
}

std::optional<RowFormat> row_format_by_name(std::string_view name) {
  std::vector<std::string> names = {"auto"};
  for (const FormatColumns& f : formats()) {
    if (f.name == name) {
      return f.format;
    }
    names.emplace_back(f.name);
  }
  if (name != "auto") {
    throw ConfigError(str("there is no data format \"", printable(name), "\"",
                          did_you_mean(name, names), "; there are ", quoted(names)));
  }
  return std::nullopt;
}

RowFormat judge_row_format(const Json& row) {
  check_object(row);
  std::vector<const FormatColumns*> fitting = formats_with(row, has_value);
  if (fitting.empty()) {
    // With a null where a text must be, which is then what to complain of.
    fitting = formats_with(row, [](const Json& r, const std::string& c) { return r.contains(c); });
  }
  if (fitting.empty()) {
    fail_unknown(row);
  }
  if (fitting.size() > 1) {
    throw DataError(str("the row has ", columns_found(row), ", which fit more than one format: ",
                        fitting[0]->name, " and ", fitting[1]->name, "; say which by \"format\""));
  }
  return fitting[0]->format;
}

bool is_empty_row(const Json& row) {
  return row.is_object() &&
         std::all_of(row.begin(), row.end(), [](const Json& value) { return value.is_null(); });
}

std::vector<std::string> unused_columns(const Json& row, RowFormat format) {
  const FormatColumns& f = columns_of(format);
  // Strings go through no template, which would read the further columns of messages.
  const bool strings = format == RowFormat::kPromptCompletion && row["prompt"].is_string();
  std::vector<std::string> unused;
  for (const auto& [key, value] : row.items()) {
    const auto listed = [&, &name = key](const std::vector<std::string>& columns) {
      return std::find(columns.begin(), columns.end(), name) != columns.end();
    };
    if (!value.is_null() && !listed(f.needed) && (strings || !listed(f.optional))) {
      unused.push_back(key);
    }
  }
  return unused;
}

void check_columns(const Json& row, RowFormat format) {
  check_object(row);
  const FormatColumns& f = columns_of(format);
  for (const std::string& column : f.needed) {
    if (!row.contains(column)) {
      throw DataError(str("format ", f.name, " needs a column \"", column, "\", but the row has ",
                          columns_found(row), near_miss(row, f.needed)));
    }
  }
}

}  // namespace inlay
