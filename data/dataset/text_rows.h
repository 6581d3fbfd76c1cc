// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "data/dataset/chat_row.h"
#include "data/dataset/control_text.h"
#include "data/dataset/dataset.h"
#include "data/dataset/row_encoder.h"
#include "data/dataset/row_text.h"
#include "data/example.h"

namespace inlay {

/// How many rows something is worth saying of, and the line of the first.
struct Remark {
  i64 rows = 0;
  i64 first_line = 0;

  void add(i64 line) { first_line = rows++ == 0 ? line : first_line; }
};

/// Rows of text of one format to examples: all that needs a tokenizer, and what there is to note
/// about the rows.
class TextRows {
 public:
  /// REQUIRES a tokenizer, and a format other than kTokens. `model` must outlive this.
  TextRows(RowFormat format, const DatasetOptions& options, const DatasetModel& model);
  TextRows(const TextRows&) = delete;  // chat_ refers to control_
  TextRows& operator=(const TextRows&) = delete;

  // The row that begins in `line`. Throw DataError for one that cannot be read.
  Example read(const nlohmann::ordered_json& row, i64 line);
  Example read_plain(std::string_view text, i64 line);

  /// Sentences for DatasetReport::notes.
  std::vector<std::string> notes() const;

 private:
  RowText row_text(const nlohmann::ordered_json& row) const;
  RowText prompt_completion(const nlohmann::ordered_json& row) const;
  const ChatRowReader& chat() const;
  Example encode(RowText row, i64 line);

  RowFormat format_;
  LossOptions loss_;
  ControlText control_;
  RowEncoder encoder_;
  std::optional<ChatRowReader> chat_;
  std::string eos_text_;  // "" when there is no eos
  bool add_eos_;
  Remark without_eos_;
  Remark spelling_control_;
  Remark empty_completions_;
};

}  // namespace inlay
