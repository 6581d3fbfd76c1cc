// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset/control_text.h"
#include "data/dataset/row_text.h"
#include "data/template/chat_template.h"

namespace inlay {

/// Rows with messages, through the model's chat template. Beside the messages a row may have
/// `tools` (a list of JSON schemas, or its text) and `chat_template_kwargs` (an object of variables
/// for the template).
class ChatRowReader {
 public:
  /// Both must outlive this. `now` is the date for templates that print one.
  ChatRowReader(const ChatTemplate& chat, const ControlText& control, const LossOptions& loss,
                const std::optional<CivilTime>& now)
      : chat_(chat), control_(control), loss_(loss), now_(now) {}

  // Both throw DataError for columns of the wrong type, what the template refuses, and when there
  // is no answer to learn.

  /// `messages`: every assistant message is learnt, or all of the text.
  RowText messages(const nlohmann::ordered_json& row) const;

  /// `prompt` and `completion`, lists of messages that make one conversation: the assistant
  /// messages of the completion are learnt, or of both, or all of the text behind the prompt, or
  /// all of it.
  RowText prompt_completion(const nlohmann::ordered_json& row) const;

 private:
  struct Conversation;
  Conversation conversation(const nlohmann::ordered_json& row,
                            const std::vector<std::string>& columns) const;
  RowText answers(const Conversation& conversation, i64 first) const;
  RowText behind_prompt(const Conversation& conversation, i64 first) const;
  RowText everything(const Conversation& conversation) const;

  const ChatTemplate& chat_;
  const ControlText& control_;
  LossOptions loss_;
  std::optional<CivilTime> now_;
};

}  // namespace inlay
