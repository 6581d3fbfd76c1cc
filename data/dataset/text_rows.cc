// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/text_rows.h"

#include <nlohmann/json.hpp>

#include "core/error.h"

namespace inlay {

using Json = nlohmann::ordered_json;

TextRows::TextRows(const RowFormat& format, const DatasetOptions& options,
                   const DatasetModel& model)
    : format_(format),
      reading_{
          {options.completion_only_loss, options.assistant_only_loss, options.train_on_thinking}},
      control_(*model.tokenizer),
      encoder_(*model.tokenizer, options.add_eos),
      add_eos_(options.add_eos),
      parse_control_(options.parse_special_tokens) {
  if (const auto eos = model.tokenizer->eos_id()) {
    eos_text_ = model.tokenizer->decode(std::span(&*eos, 1));
  }
  if (model.chat_template != nullptr) {
    chat_.emplace(*model.chat_template, control_,
                  ChatRowOptions{reading_.loss, options.parse_special_tokens, options.now});
    reading_.chat = &*chat_;
  }
}

Example TextRows::read(const Json& row, i64 line) {
  return encode(format_.read_text(row, reading_), line);
}

Example TextRows::read_plain(std::string_view text, i64 line) {
  return encode(text_row(std::string(text)), line);
}

std::vector<std::string> TextRows::notes() const {
  std::vector<std::string> notes;
  without_eos_.note("no end-of-sequence token at the end: the tokenizer has none", notes);
  leaving_out_messages_.note("a message of which the chat template writes nothing", notes);
  leaving_out_tools_.note("tools of which the chat template writes nothing", notes);
  leaving_out_thinking_.note("thinking that the chat template leaves out of earlier turns", notes);
  joining_parts_.note(
      "a content of text parts, joined to one string: the chat template takes no lists", notes);
  return notes;
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
  add_if(row.leaves_out_thinking, leaving_out_thinking_);
  add_if(row.joins_parts, joining_parts_);
}

}  // namespace inlay
