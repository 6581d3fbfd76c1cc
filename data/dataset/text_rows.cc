// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/text_rows.h"

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace inlay {

using Json = nlohmann::ordered_json;

TextRows::TextRows(RowFormat format, const DatasetOptions& options, const DatasetModel& model)
    : format_(format),
      loss_{options.completion_only_loss, options.assistant_only_loss},
      control_(*model.tokenizer),
      encoder_(*model.tokenizer, options.add_eos),
      add_eos_(options.add_eos),
      parse_control_(options.parse_special_tokens) {
  if (const auto eos = model.tokenizer->eos_id()) {
    eos_text_ = model.tokenizer->decode(std::span(&*eos, 1));
  }
  if (model.chat_template != nullptr) {
    chat_.emplace(*model.chat_template, control_,
                  ChatRowOptions{loss_, options.parse_special_tokens, options.now});
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
  without_eos_.note("no end-of-sequence token at the end: the tokenizer has none", notes);
  leaving_out_messages_.note("a message of which the chat template writes nothing", notes);
  leaving_out_tools_.note("tools of which the chat template writes nothing", notes);
  joining_parts_.note(
      "a content of text parts, joined to one string: the chat template takes no lists", notes);
  return notes;
}

RowText TextRows::row_text(const Json& row) {
  switch (format_) {
    case RowFormat::kText:
      return text_row(row);
    case RowFormat::kAlpaca:
      return alpaca_row(row, loss_);
    case RowFormat::kMessages:
      return chat().messages(row);
    case RowFormat::kShareGpt:
      return chat().sharegpt(row);
    case RowFormat::kPromptCompletion:
      return prompt_completion(row);
    case RowFormat::kTokens:
      break;
  }
  INLAY_ASSERT(format_ != RowFormat::kTokens);
  return {};
}

RowText TextRows::prompt_completion(const Json& row) {
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

ChatRowReader& TextRows::chat() {
  if (!chat_) {
    throw DataError("the row has messages, but the tokenizer has no chat template to put them in");
  }
  return *chat_;
}

Example TextRows::encode(RowText row, i64 line) {
  if (row.origin == RowText::Origin::kUser) {
    take_off_eos(row, eos_text_);
    row.spells_control = control_.is_in(row.text);
    row.parse_control = parse_control_ && row.spells_control;
    row.empty_answer = row.turn_ends.empty() && !row.cuts.empty() &&
                       row.cuts.back() == static_cast<i64>(row.text.size());
    if (add_eos_ && eos_text_.empty()) {
      without_eos_.add(line);
    }
  }
  Example example = encoder_.encode(row);
  remark(row, line);
  return example;
}

void TextRows::remark(const RowText& row, i64 line) {
  const auto add_if = [&](bool said, Remark& remark) {
    if (said) {
      remark.add(line);
    }
  };
  add_if(row.spells_control, spelling_control_);
  last_answer_is_empty_ = row.empty_answer;
  add_if(row.leaves_out_message, leaving_out_messages_);
  add_if(row.leaves_out_tools, leaving_out_tools_);
  add_if(row.joins_parts, joining_parts_);
}

}  // namespace inlay
