// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/config/choice.h"
#include "core/types.h"
#include "data/dataset/loss_options.h"
#include "data/dataset/row_format.h"
#include "data/dataset/row_reader.h"
#include "data/example.h"
#include "data/template/civil_time.h"
#include "data/tokenizer/tokenizer.h"

/// From a data file to training examples. Start here; the way of a row is
///
///   row_reader.h    bytes of the file  ->  one row
///   row_format.h    its columns        ->  what they mean
///   row_text.h      columns of text    ->  one text and what is to be learnt in it
///   messages.h      lists of messages  ->  what templates read
///   chat_row.h      messages           ->  a text, through the chat template
///   row_encoder.h   that text          ->  ids and labels
///   token_row.h     columns of ids     ->  ids and labels
///   dataset.cc      ids and labels     ->  cut to length, checked, counted
///
/// No row is left out or changed without a word: it becomes an example, or is counted as one with
/// nothing to train on, or it stops the loading with a sentence that names file and line; what was
/// cut or is worth a look is in the report.
namespace inlay {

class ChatTemplate;

/// What a row over the length keeps: its first tokens, its last, or it is an error.
enum class Truncation { kKeepStart, kKeepEnd, kError };

template <>
struct ChoicesOf<Truncation> {
  static std::span<const Choice<Truncation>> all();
};

/// What becomes of a row with nothing to train on: it is left out and counted, or it is an error.
///
///   text               text is ""
///   prompt_completion  both are ""
///   messages           there are none, or all answers have the weight 0
///   alpaca             instruction, input and output are ""
///   tokens             input_ids is []
///   any                no column has a value; nothing behind the first token is learnt, by itself
///                      or after the row was cut to max_length
enum class EmptyRows { kSkip, kError };

template <>
struct ChoicesOf<EmptyRows> {
  static std::span<const Choice<EmptyRows>> all();
};

struct DatasetOptions {
  /// Null: judged by the first row (from the columns it has, see RowFormat).
  const RowFormat* format = nullptr;
  /// Tokens a row may have, > 0.
  i64 max_length = 1024;
  Truncation truncation = Truncation::kKeepStart;
  /// Learn the completion alone; by default where rows have a prompt.
  std::optional<bool> completion_only_loss = {};
  /// Learn the assistant's messages alone; by default where rows have messages. With a prompt and a
  /// completion of messages, what is learnt must pass both.
  std::optional<bool> assistant_only_loss = {};
  /// Which thoughts in the assistant's messages are learnt with them.
  TrainThinking train_on_thinking = TrainThinking::kAll;
  /// End text and completions with eos, if the tokenizer has one. Messages end as their template
  /// ends them.
  bool add_eos = true;
  /// Read control tokens that are spelt out in the data as tokens, as Transformers does; else they
  /// are plain text.
  bool parse_special_tokens = false;
  EmptyRows empty_rows = EmptyRows::kSkip;
  /// For chat templates that print the date; those that do refuse rows without it.
  std::optional<CivilTime> now = {};
};

/// What the rows are for. The pointers may be null and must outlive the call.
struct DatasetModel {
  const Tokenizer* tokenizer = nullptr;         // null: only rows of tokens can be read
  const ChatTemplate* chat_template = nullptr;  // null: no rows with messages
  std::optional<i64> vocab_size = {};           // absent: ids are not compared with it
};

struct DatasetReport {
  i64 rows = 0;
  i64 tokens = 0;        // kept
  i64 trained = 0;       // of those, how many are trained on
  i64 truncated = 0;     // rows
  i64 longest = 0;       // tokens of the longest row before truncation
  i64 longest_line = 0;  // the first of those
  i64 skipped = 0;       // rows with nothing to train on, which are not among `rows`
  /// Rows that spell out control tokens, and whether those were read as tokens.
  i64 spelling_control = 0;
  bool control_parsed = false;
  /// What is unusual but no error, a sentence each.
  std::vector<std::string> notes;
};

/// "3 rows spell out control tokens, read as letters (…)", with the setting that reads them
/// otherwise where most rows do; "" for none.
std::string control_summary(const DatasetReport& report);

struct Dataset {
  const RowFormat* format = plain_text_format();
  std::vector<Example> examples;  // in the order of the file
  std::vector<i64> lengths;       // of each example in tokens, before truncation
  DatasetReport report;
};

/// Reads a file of one row format (open_rows tells how it is cut into rows). Memory is that of the
/// examples and one row. The result depends on the arguments alone.
///
/// Throws IoError when the file cannot be read, DataError `<path>: line 3: …` for a row that is
/// wrong or, where that is an error or leaves no row, has nothing to train on; DataError `<path>:
/// …` for a file without rows, one in which all completions are empty, and when a tokenizer or chat
/// template is missing; ConfigError when the options do not fit the format.
Dataset load_dataset(const std::string& path, const DatasetOptions& options,
                     const DatasetModel& model);

}  // namespace inlay
