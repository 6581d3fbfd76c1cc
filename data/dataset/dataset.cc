// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/dataset.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/config/json.h"
#include "core/error.h"
#include "data/dataset/text_rows.h"
#include "data/dataset/token_row.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

struct TruncationName {
  std::string_view name;
  Truncation truncation;
};
constexpr TruncationName kTruncationNames[] = {{"keep_start", Truncation::kKeepStart},
                                               {"keep_end", Truncation::kKeepEnd},
                                               {"error", Truncation::kError}};

class Loader {
 public:
  Loader(const std::string& path, const DatasetOptions& options, const DatasetModel& model)
      : path_(printable(path, 300)), options_(options), model_(model) {
    INLAY_ASSERT(options.max_length > 0);
  }

  Dataset load(RowReader& rows) {
    if (rows.is_plain_text()) {
      set_plain_text();
    } else if (options_.format) {
      set_format(*options_.format);
    }
    while (const auto raw = rows.next()) {
      if (rows.is_plain_text()) {
        at_line(*raw, [&] { keep(text_rows_->read_plain(raw->text, raw->line), *raw); });
      } else {
        add_json_row(*raw);
      }
    }
    return finish();
  }

 private:
  /// Puts file and line before the sentence of an error.
  template <class Action>
  void at_line(const RawRow& raw, const Action& action) const {
    try {
      action();
    } catch (const DataError& error) {
      throw DataError(str(path_, ": line ", raw.line, ": ", error.what()));
    }
  }

  void set_plain_text();
  void set_format(RowFormat format);
  void check_loss_options(RowFormat format) const;
  void add_json_row(const RawRow& raw);
  Example read_row(const Json& json, i64 line);
  void check_ids(const Example& example) const;
  void keep(Example example, const RawRow& raw);
  void cut(Example& example) const;
  Dataset finish();

  std::string path_;
  const DatasetOptions& options_;
  const DatasetModel& model_;
  std::optional<RowFormat> format_;
  std::optional<TextRows> text_rows_;
  Dataset dataset_;
};

void Loader::set_plain_text() {
  if (options_.format.value_or(RowFormat::kText) != RowFormat::kText) {
    throw ConfigError(str(path_, ": a .txt file has a text a line, which is format text, not ",
                          row_format_name(*options_.format)));
  }
  set_format(RowFormat::kText);
}

void Loader::set_format(RowFormat format) {
  check_loss_options(format);
  if (format != RowFormat::kTokens) {
    if (model_.tokenizer == nullptr) {
      throw DataError(str(path_, ": rows of format ", row_format_name(format),
                          " need a tokenizer; without one only rows of tokens can be read"));
    }
    text_rows_.emplace(format, options_, model_);
  }
  format_ = dataset_.format = format;
}

void Loader::check_loss_options(RowFormat format) const {
  const bool prompted = format == RowFormat::kPromptCompletion || format == RowFormat::kAlpaca;
  if (options_.completion_only_loss.value_or(false) && !prompted) {
    throw ConfigError(str(path_, ": completion_only_loss is true, but rows of format ",
                          row_format_name(format),
                          " have no completion; it is for prompt_completion and alpaca"));
  }
  const bool messages = format == RowFormat::kPromptCompletion || format == RowFormat::kMessages;
  if (options_.assistant_only_loss.value_or(false) && !messages) {
    throw ConfigError(str(path_, ": assistant_only_loss is true, but rows of format ",
                          row_format_name(format),
                          " have no messages; it is for messages and prompt_completion"));
  }
}

void Loader::add_json_row(const RawRow& raw) {
  const Json json =
      parse_ordered_json(raw.text, path_, {.first_line = raw.line, .first_column = raw.column});
  if (!format_) {
    std::optional<RowFormat> judged;
    at_line(raw, [&] { judged = judge_row_format(json); });
    set_format(*judged);
  }
  at_line(raw, [&] {
    check_columns(json, *format_);
    keep(read_row(json, raw.line), raw);
  });
}

Example Loader::read_row(const Json& json, i64 line) {
  return *format_ == RowFormat::kTokens ? token_row(json, model_.vocab_size)
                                        : text_rows_->read(json, line);
}

void Loader::check_ids(const Example& example) const {
  if (model_.vocab_size && model_.tokenizer != nullptr) {
    require_in_vocabulary(*model_.tokenizer, example.ids, *model_.vocab_size);
  }
}

void Loader::keep(Example example, const RawRow& raw) {
  check_ids(example);
  example.line = raw.line;
  const i64 length = example.ids.size();
  if (length > options_.max_length) {
    cut(example);
    ++dataset_.report.truncated;
  } else if (example.trained() == 0) {
    throw DataError(str("nothing to learn: of ", length, length == 1 ? " token" : " tokens",
                        " none behind the first is to be learnt"));
  }
  DatasetReport& report = dataset_.report;
  report.rows += 1;
  report.tokens += example.ids.size();
  report.trained += example.trained();
  if (length > report.longest) {
    report.longest = length;
    report.longest_line = example.line;
  }
  example.ids.shrink_to_fit();
  example.labels.shrink_to_fit();
  dataset_.lengths.push_back(length);
  dataset_.examples.push_back(std::move(example));
}

/// To max_length, which it exceeds.
void Loader::cut(Example& example) const {
  const i64 length = example.ids.size();
  const i64 max = options_.max_length;
  if (options_.truncation == Truncation::kError) {
    throw DataError(str("the row has ", length, " tokens, more than max_length ", max,
                        " (truncation \"error\")"));
  }
  const bool keep_start = options_.truncation == Truncation::kKeepStart;
  const auto first_learnt = std::find_if(example.labels.begin(), example.labels.end(),
                                         [](i32 label) { return label != kIgnoreLabel; });
  const i64 prompt = first_learnt - example.labels.begin();
  for (auto* tokens : {&example.ids, &example.labels}) {
    if (keep_start) {
      tokens->resize(max);
    } else {
      tokens->erase(tokens->begin(), tokens->end() - max);
    }
  }
  if (example.trained() > 0) {
    return;
  }
  if (keep_start && prompt >= max) {
    throw DataError(str("nothing to learn within max_length ", max, ": the first ", prompt, " of ",
                        length, " tokens are prompt"));
  }
  throw DataError(str("nothing to learn in the ", keep_start ? "first " : "last ", max, " of ",
                      length, " tokens, cut to max_length"));
}

Dataset Loader::finish() {
  if (dataset_.examples.empty()) {
    throw DataError(str(path_, ": there are no rows in it"));
  }
  if (text_rows_) {
    dataset_.report.notes = text_rows_->notes();
  }
  return std::move(dataset_);
}

}  // namespace

Truncation truncation_by_name(std::string_view name) {
  std::vector<std::string> names;
  for (const TruncationName& entry : kTruncationNames) {
    if (entry.name == name) {
      return entry.truncation;
    }
    names.emplace_back(entry.name);
  }
  throw ConfigError(str("there is no truncation \"", printable(name), "\"",
                        did_you_mean(name, names), "; there are keep_start, keep_end and error"));
}

Dataset load_dataset(const std::string& path, const DatasetOptions& options,
                     const DatasetModel& model) {
  const auto rows = open_rows(path);
  return Loader(path, options, model).load(*rows);
}

}  // namespace inlay
