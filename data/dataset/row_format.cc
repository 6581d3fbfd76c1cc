// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/row_format.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/error.h"
#include "data/dataset/chat_row.h"
#include "data/dataset/row_text.h"
#include "data/dataset/token_row.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

ChatRowReader& chat_of(const TextReading& reading) {
  if (reading.chat == nullptr) {
    throw DataError("the row has messages, but the tokenizer has no chat template to put them in");
  }
  return *reading.chat;
}

RowText read_prompt_completion(const Json& row, const TextReading& reading) {
  const Json& prompt = row["prompt"];
  const Json& completion = row["completion"];
  if (prompt.is_array() != completion.is_array()) {
    throw DataError(
        str("/prompt and /completion: must both be strings or both lists of messages, "
            "not ",
            prompt.type_name(), " and ", completion.type_name()));
  }
  if (prompt.is_array()) {
    return chat_of(reading).prompt_completion(row);
  }
  if (reading.loss.assistant_only.value_or(false)) {
    throw DataError("assistant_only_loss is true, but prompt and completion are not messages");
  }
  return prompt_completion_row(row, reading.loss);
}

const std::vector<RowFormat>& formats() {
  using Messages = RowFormat::Messages;
  static const std::vector<RowFormat> all = {
      {.name = "text",
       .needed = {"text"},
       .plain_text = true,
       .read_text = [](const Json& row, const TextReading& /*reading*/) { return text_row(row); }},
      // Both columns strings, or both lists of messages; only the latter have tools.
      {.name = "prompt_completion",
       .needed = {"prompt", "completion"},
       .optional = {"tools", "documents", "chat_template_kwargs"},
       .completion = true,
       .messages = Messages::kSometimes,
       .read_text = read_prompt_completion},
      {.name = "messages",
       .needed = {"messages"},
       .optional = {"tools", "documents", "chat_template_kwargs"},
       .messages = Messages::kAlways,
       .read_text = [](const Json& row,
                       const TextReading& reading) { return chat_of(reading).messages(row); }},
      {.name = "alpaca",
       .needed = {"instruction", "output"},
       .optional = {"input", "system", "history"},
       .completion = true,
       .read_text = [](const Json& row,
                       const TextReading& reading) { return alpaca_row(row, reading.loss); }},
      {.name = "sharegpt",
       .needed = {"conversations"},
       .optional = {"system", "tools", "documents", "chat_template_kwargs"},
       .messages = Messages::kAlways,
       .read_text = [](const Json& row,
                       const TextReading& reading) { return chat_of(reading).sharegpt(row); }},
      {.name = "tokens",
       .needed = {"input_ids"},
       .optional = {"labels", "attention_mask"},
       .read_ids = token_row},
  };
  return all;
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
std::vector<const RowFormat*> formats_with(const Json& row, const IsThere& is_there) {
  std::vector<const RowFormat*> fitting;
  for (const RowFormat& f : formats()) {
    if (std::all_of(f.needed.begin(), f.needed.end(),
                    [&](const std::string& column) { return is_there(row, column); })) {
      fitting.push_back(&f);
    }
  }
  return fitting;
}

/// "a, b and c".
std::string joined_with_and(const std::vector<std::string_view>& names) {
  std::string list;
  for (std::size_t i = 0; i < names.size(); ++i) {
    list += str(i == 0 ? "" : i + 1 == names.size() ? " and " : ", ", names[i]);
  }
  return list;
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
  for (const RowFormat& f : formats()) {
    needs += str(needs.empty() ? "" : "; ", f.name, ": ", quoted(f.needed));
    known.insert(known.end(), f.needed.begin(), f.needed.end());
  }
  throw DataError(str("the row has ", columns_found(row),
                      row.empty() ? "" : ", which fit no format", near_miss(row, known),
                      "; needed are for ", needs));
}

}  // namespace

std::span<const Choice<const RowFormat*>> ChoicesOf<const RowFormat*>::all() {
  static const std::vector<Choice<const RowFormat*>> choices = [] {
    std::vector<Choice<const RowFormat*>> list;
    for (const RowFormat& f : formats()) {
      list.push_back({f.name, &f});
    }
    return list;
  }();
  return choices;
}

const RowFormat* row_format_by_name(std::string_view name) {
  if (const auto format = find_choice<const RowFormat*>(name)) {
    return *format;
  }
  if (name == "auto") {
    return nullptr;
  }
  const std::vector<std::string> names = ChoiceSlot::with_auto(choice_names<const RowFormat*>());
  throw ConfigError(str("there is no data format \"", printable(name), "\"",
                        did_you_mean(name, names), "; there are ", quoted(names)));
}

const RowFormat* plain_text_format() {
  return &*std::find_if(formats().begin(), formats().end(),
                        [](const RowFormat& f) { return f.plain_text; });
}

std::string formats_with_completion() {
  std::vector<std::string_view> names;
  for (const RowFormat& f : formats()) {
    if (f.completion) {
      names.push_back(f.name);
    }
  }
  return joined_with_and(names);
}

std::string formats_with_messages() {
  std::vector<std::string_view> names;
  for (const auto often : {RowFormat::Messages::kAlways, RowFormat::Messages::kSometimes}) {
    for (const RowFormat& f : formats()) {
      if (f.messages == often) {
        names.push_back(f.name);
      }
    }
  }
  return joined_with_and(names);
}

const RowFormat* judge_row_format(const Json& row) {
  check_object(row);
  std::vector<const RowFormat*> fitting = formats_with(row, has_value);
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
  return fitting[0];
}

bool is_empty_row(const Json& row) {
  return row.is_object() &&
         std::all_of(row.begin(), row.end(), [](const Json& value) { return value.is_null(); });
}

std::vector<std::string> unused_columns(const Json& row, const RowFormat& format) {
  // Strings go through no template, which would read the further columns of messages.
  const bool strings =
      format.messages == RowFormat::Messages::kSometimes && row[format.needed[0]].is_string();
  std::vector<std::string> unused;
  for (const auto& [key, value] : row.items()) {
    const auto listed = [&, &name = key](const std::vector<std::string>& columns) {
      return std::find(columns.begin(), columns.end(), name) != columns.end();
    };
    if (!value.is_null() && !listed(format.needed) && (strings || !listed(format.optional))) {
      unused.push_back(key);
    }
  }
  return unused;
}

void check_columns(const Json& row, const RowFormat& format) {
  check_object(row);
  for (const std::string& column : format.needed) {
    if (!row.contains(column)) {
      throw DataError(str("format ", format.name, " needs a column \"", column,
                          "\", but the row has ", columns_found(row),
                          near_miss(row, format.needed)));
    }
  }
}

}  // namespace inlay
