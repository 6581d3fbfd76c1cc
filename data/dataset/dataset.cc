// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/dataset.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "core/config/json.h"
#include "core/error.h"
#include "data/dataset/remark.h"
#include "data/dataset/row_text.h"
#include "data/dataset/stop_check.h"
#include "data/dataset/text_rows.h"
#include "data/dataset/unused_columns.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

class Loader {
 public:
  Loader(const std::string& path, const DatasetOptions& options, const DatasetModel& model)
      : path_(printable(path, 300)), options_(options), model_(model) {
    INLAY_ASSERT(options.max_length > 0);
  }

  Dataset load(RowReader& rows) {
    if (rows.is_plain_text()) {
      set_plain_text();
    } else if (options_.format != nullptr) {
      set_format(options_.format);
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
  void at_line(const RawRow& raw, const Action& action) {
    try {
      action();
    } catch (const EmptyRow& row) {
      if (options_.empty_rows == EmptyRows::kError) {
        throw DataError(
            str(path_, ": line ", raw.line, ": ", row.what(), " (data.on_empty_row \"error\")"));
      }
      skip(raw.line, row.what());
    } catch (const DataError& error) {
      throw DataError(str(path_, ": line ", raw.line, ": ", error.what()));
    }
  }

  void set_plain_text();
  void set_format(const RowFormat* format);
  void check_loss_options(const RowFormat& format) const;
  void add_json_row(const RawRow& raw);
  Example read_row(const Json& json, i64 line);
  void check_ids(const Example& example) const;
  void keep(Example example, const RawRow& raw);
  void skip(i64 line, std::string_view why);
  void cut(Example& example) const;
  Dataset finish();
  void refuse_without_rows() const;
  void write_notes();

  std::string path_;
  const DatasetOptions& options_;
  const DatasetModel& model_;
  const RowFormat* format_ = nullptr;  // null until it is known
  std::optional<TextRows> text_rows_;
  std::optional<StopCheck> stops_;
  UnusedColumns unused_;
  Remark empty_answers_;  // of rows that are kept
  Remark skipped_;
  std::string why_skipped_;  // the first
  Dataset dataset_;
};

void Loader::set_plain_text() {
  const RowFormat* plain = plain_text_format();
  if (options_.format != nullptr && options_.format != plain) {
    throw ConfigError(str(path_, ": a .txt file has a text a line, which is format ", plain->name,
                          ", not ", options_.format->name));
  }
  set_format(plain);
}

void Loader::set_format(const RowFormat* format) {
  check_loss_options(*format);
  if (!format->is_ids()) {
    if (model_.tokenizer == nullptr) {
      throw DataError(str(path_, ": rows of format ", format->name,
                          " need a tokenizer; without one only rows of tokens can be read"));
    }
    text_rows_.emplace(*format, options_, model_);
  }
  if (model_.tokenizer != nullptr && !format->plain_text) {
    stops_.emplace(*model_.tokenizer);
  }
  format_ = dataset_.format = format;
}

void Loader::check_loss_options(const RowFormat& format) const {
  if (options_.completion_only_loss.value_or(false) && !format.completion) {
    throw ConfigError(str(path_, ": completion_only_loss is true, but rows of format ", format.name,
                          " have no completion; it is for ", formats_with_completion()));
  }
  if (options_.assistant_only_loss.value_or(false) &&
      format.messages == RowFormat::Messages::kNever) {
    throw ConfigError(str(path_, ": assistant_only_loss is true, but rows of format ", format.name,
                          " have no messages; it is for ", formats_with_messages()));
  }
}

void Loader::add_json_row(const RawRow& raw) {
  const Json json =
      parse_ordered_json(raw.text, path_, {.first_line = raw.line, .first_column = raw.column});
  if (is_empty_row(json)) {
    at_line(raw, [&] {
      throw EmptyRow(json.empty() ? "the row has no columns" : "all columns of the row are null");
    });
    return;
  }
  // The first row that has something in it decides for the whole file.
  if (format_ == nullptr) {
    const RowFormat* judged = nullptr;
    at_line(raw, [&] { judged = judge_row_format(json); });
    // Outside of at_line(): what it refuses is true of the file, not of this line.
    set_format(judged);
  }
  at_line(raw, [&] {
    check_columns(json, *format_);
    unused_.add(json, *format_);
    keep(read_row(json, raw.line), raw);
  });
}

Example Loader::read_row(const Json& json, i64 line) {
  return format_->is_ids() ? format_->read_ids(json, model_.vocab_size)
                           : text_rows_->read(json, line);
}

void Loader::check_ids(const Example& example) const {
  if (model_.vocab_size && model_.tokenizer != nullptr) {
    require_in_vocabulary(*model_.tokenizer, example.ids, *model_.vocab_size);
  }
}

void Loader::keep(Example example, const RawRow& raw) {
  // Before anything is counted: a token that the model has no row for is an error of the file,
  // whatever becomes of the row.
  check_ids(example);
  example.line = raw.line;
  const i64 length = example.ids.size();
  if (length > options_.max_length) {
    cut(example);
    ++dataset_.report.truncated;  // of those kept: cut() throws for others
  } else if (example.trained() == 0) {
    throw EmptyRow(str("nothing to learn: of ", length, length == 1 ? " token" : " tokens",
                       " none behind the first is to be learnt"));
  }
  // Labels alone make completions of ids; without them, they are text.
  const bool as_text = format_->is_ids() && example.labels == example.ids;
  if (stops_ && !as_text) {
    stops_->add(example);
  }
  if (text_rows_ && text_rows_->last_answer_is_empty()) {
    empty_answers_.add(example.line);
  }
  DatasetReport& report = dataset_.report;
  report.rows += 1;
  report.tokens += example.ids.size();
  report.trained += example.trained();
  if (length > report.longest) {
    report.longest = length;
    report.longest_line = example.line;
  }
  // An example lives as long as the run; its vectors grew by doubling.
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
  // Found before the cut, for the sentence that says why nothing is left.
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
    throw EmptyRow(str("nothing to learn within max_length ", max, ": the first ", prompt, " of ",
                       length, " tokens are prompt"));
  }
  throw EmptyRow(str("nothing to learn in the ", keep_start ? "first " : "last ", max, " of ",
                     length, " tokens, cut to max_length"));
}

void Loader::skip(i64 line, std::string_view why) {
  if (skipped_.rows == 0) {
    why_skipped_ = why;
  }
  skipped_.add(line);
  ++dataset_.report.skipped;
}

void Loader::refuse_without_rows() const {
  if (dataset_.examples.empty() && skipped_.rows > 0) {
    throw DataError(str(path_, ": line ", skipped_.first_line, ": ", why_skipped_,
                        skipped_.rows == 1 ? std::string()
                                           : str("; so it is with all ", skipped_.rows,
                                                 " rows, and there is nothing to train on")));
  }
  if (dataset_.examples.empty()) {
    throw DataError(str(path_, ": there are no rows in it"));
  }
  const i64 empty = empty_answers_.rows;
  if (empty == dataset_.report.rows && options_.completion_only_loss.value_or(true) &&
      options_.assistant_only_loss.value_or(true)) {
    throw DataError(str(path_, ": line ", empty_answers_.first_line, ": the completion is empty",
                        empty == 1 ? "" : ", as all are in this file",
                        ": there is nothing to learn but to stop at once"));
  }
}

Dataset Loader::finish() {
  refuse_without_rows();
  if (text_rows_) {
    dataset_.report.spelling_control = text_rows_->spelling_control();
    dataset_.report.control_parsed = options_.parse_special_tokens;
  }
  write_notes();
  return std::move(dataset_);
}

void Loader::write_notes() {
  std::vector<std::string>& notes = dataset_.report.notes;
  if (text_rows_) {
    notes = text_rows_->notes();
  }
  empty_answers_.note("an empty completion, which teaches to stop at once", notes);
  if (skipped_.rows > 0) {
    notes.push_back(str(skipped_.rows, skipped_.rows == 1 ? " row is" : " rows are",
                        " left out with nothing to train on (",
                        skipped_.rows == 1 ? "" : "the first, ", "line ", skipped_.first_line, ": ",
                        why_skipped_, ")"));
  }
  if (auto note = unused_.note()) {
    notes.push_back(std::move(*note));
  }
  if (stops_ && model_.tokenizer->eos_id()) {
    if (auto note = stops_->note(options_.add_eos)) {
      notes.push_back(std::move(*note));
    }
  }
}

}  // namespace

std::span<const Choice<Truncation>> ChoicesOf<Truncation>::all() {
  static constexpr Choice<Truncation> kTable[] = {{"keep_start", Truncation::kKeepStart},
                                                  {"keep_end", Truncation::kKeepEnd},
                                                  {"error", Truncation::kError}};
  return kTable;
}

std::span<const Choice<EmptyRows>> ChoicesOf<EmptyRows>::all() {
  static constexpr Choice<EmptyRows> kTable[] = {{"skip", EmptyRows::kSkip},
                                                 {"error", EmptyRows::kError}};
  return kTable;
}

std::string control_summary(const DatasetReport& report) {
  if (report.spelling_control == 0) {
    return "";
  }
  const std::string rows =
      str(report.spelling_control, report.spelling_control == 1 ? " row spells" : " rows spell",
          " out control tokens, read as ");
  if (report.control_parsed) {
    return rows + "tokens";
  }
  // A few rows may talk about such tokens; when most have them, a template has written them.
  const bool templated = 2 * report.spelling_control >= report.rows;
  return str(rows, "letters",
             templated
                 ? " (data.special_tokens_in_text \"parse\" reads them as tokens, as rows that "
                   "went through a chat template want)"
                 : "");
}

Dataset load_dataset(const std::string& path, const DatasetOptions& options,
                     const DatasetModel& model) {
  const auto rows = open_rows(path);
  return Loader(path, options, model).load(*rows);
}

}  // namespace inlay
