// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/text_rows.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

/// "3 rows (the first in line 7) have …"
void note(const Remark& remark, std::string_view what, std::vector<std::string>& notes) {
  if (remark.rows == 1) {
    notes.push_back(str("1 row (in line ", remark.first_line, ") has ", what));
  } else if (remark.rows > 1) {
    notes.push_back(
        str(remark.rows, " rows (the first in line ", remark.first_line, ") have ", what));
  }
}

}  // namespace

TextRows::TextRows(RowFormat format, const DatasetOptions& options, const DatasetModel& model)
    : format_(format),
      loss_{options.completion_only_loss, options.assistant_only_loss},
      control_(*model.tokenizer),
      encoder_(*model.tokenizer, options.add_eos),
      add_eos_(options.add_eos) {
  if (const auto eos = model.tokenizer->eos_id()) {
    eos_text_ = model.tokenizer->decode(std::span(&*eos, 1));
  }
  if (model.chat_template != nullptr) {
    chat_.emplace(*model.chat_template, control_, loss_, options.now);
  }
}

Example TextRows::read(const Json& row, i64 line) {
  return encode(row_text(row), line);
}

Example TextRows::read_plain(std::string_view text, i64 line) {
  return encode(text_row(std::string(text)), line);
}

std::vector<std::string> TextRows::notes() const {
  std::vector<std::string> notes;
  note(without_eos_, "no end-of-sequence token at the end: the tokenizer has none", notes);
  note(spelling_control_, "the text of a control token, read as plain text and not as that token",
       notes);
  note(empty_completions_, "an empty completion, which teaches to stop at once", notes);
  return notes;
}

RowText TextRows::row_text(const Json& row) const {
  switch (format_) {
    case RowFormat::kText:
      return text_row(row);
    case RowFormat::kAlpaca:
      return alpaca_row(row, loss_);
    case RowFormat::kMessages:
      return chat().messages(row);
    case RowFormat::kPromptCompletion:
      return prompt_completion(row);
    case RowFormat::kTokens:
      break;
  }
  INLAY_ASSERT(format_ != RowFormat::kTokens);
  return {};
}

RowText TextRows::prompt_completion(const Json& row) const {
  const Json& prompt = row["prompt"];
  const Json& completion = row["completion"];
  if (prompt.is_array() != completion.is_array()) {
    throw DataError(
        str("/prompt and /completion: must both be strings or both lists of messages, "
            "not ",
            prompt.type_name(), " and ", completion.type_name()));
  }
  if (prompt.is_array()) {
    return chat().prompt_completion(row);
  }
  if (loss_.assistant_only.value_or(false)) {
    throw DataError("assistant_only_loss is true, but prompt and completion are not messages");
  }
  return prompt_completion_row(row, loss_);
}

const ChatRowReader& TextRows::chat() const {
  if (!chat_) {
    throw DataError("the row has messages, but the tokenizer has no chat template to put them in");
  }
  return *chat_;
}

Example TextRows::encode(RowText row, i64 line) {
  if (row.origin == RowText::Origin::kUser) {
    take_off_eos(row, eos_text_);
    row.spells_control = control_.is_in(row.text);
    if (add_eos_ && eos_text_.empty()) {
      without_eos_.add(line);
    }
    if (!row.cuts.empty() && row.cuts.back() == static_cast<i64>(row.text.size())) {
      empty_completions_.add(line);
    }
  }
  if (row.spells_control) {
    spelling_control_.add(line);
  }
  return encoder_.encode(row);
}

}  // namespace inlay
