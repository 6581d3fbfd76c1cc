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
#include "data/dataset/remark.h"
#include "data/dataset/row_encoder.h"
#include "data/dataset/row_text.h"
#include "data/example.h"

namespace inlay {

/// Rows of text of one format to examples: all that needs a tokenizer, and what there is to note
/// about the rows.
class TextRows {
 public:
  /// REQUIRES a tokenizer, and a format that is read as text. `model` must outlive this.
  TextRows(const RowFormat& format, const DatasetOptions& options, const DatasetModel& model);
  TextRows(const TextRows&) = delete;  // chat_ refers to control_, and reading_ to chat_
  TextRows& operator=(const TextRows&) = delete;

  // The row that begins in `line`. Throw DataError for one that cannot be read.
  Example read(const nlohmann::ordered_json& row, i64 line);
  Example read_plain(std::string_view text, i64 line);

  /// Sentences for DatasetReport::notes.
  std::vector<std::string> notes() const;
  /// Rows that spell out control tokens.
  i64 spelling_control() const { return spelling_control_.rows; }
  /// Whether the row read last has no text in any answer that is learnt.
  bool last_answer_is_empty() const { return last_answer_is_empty_; }

 private:
  Example encode(RowText row, i64 line);
  void remark(const RowText& row, i64 line);

  const RowFormat& format_;
  TextReading reading_;
  ControlText control_;
  RowEncoder encoder_;
  std::optional<ChatRowReader> chat_;
  std::string eos_text_;  // "" when there is no eos
  bool add_eos_;
  bool parse_control_;
  Remark without_eos_;
  Remark spelling_control_;
  bool last_answer_is_empty_ = false;
  Remark leaving_out_messages_;
  Remark leaving_out_tools_;
  Remark leaving_out_thinking_;
  Remark joining_parts_;
};

}  // namespace inlay
