// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/dataset/control_text.h"
#include "data/dataset/messages.h"
#include "data/dataset/role_check.h"
#include "data/dataset/row_text.h"
#include "data/template/chat_template.h"

namespace inlay {

struct ChatRowOptions {
  LossOptions loss = {};
  /// Read control tokens that the data spell out as tokens; else they are kept plain text.
  bool parse_control = false;
  /// The date for templates that print one.
  std::optional<CivilTime> now = {};
};

/// Rows with messages, through the model's chat template. Beside the messages a row may have
/// `tools` (a list of JSON schemas, or its text), `documents` (a list of objects) and
/// `chat_template_kwargs` (an object of variables for the template, `enable_thinking` …).
class ChatRowReader {
 public:
  /// Both must outlive this.
  ChatRowReader(const ChatTemplate& chat, const ControlText& control, const ChatRowOptions& options)
      : chat_(chat), control_(control), options_(options), roles_(chat) {}

  // All throw EmptyRow for a row without messages or without an answer to learn, and DataError for
  // columns of the wrong type, what the template refuses or leaves out (role_check.h), and when no
  // message is an answer.

  /// `messages`: every assistant message is learnt but those that say otherwise (messages.h), or
  /// all of the text.
  RowText messages(const nlohmann::ordered_json& row);

  /// `conversations`, the same with ShareGPT's names, and `system`, for a conversation that does
  /// not begin with such a message.
  RowText sharegpt(const nlohmann::ordered_json& row);

  /// `prompt` and `completion`, lists of messages that make one conversation: the assistant
  /// messages of the completion are learnt, or of both, or all of the text behind the prompt, or
  /// all of it.
  RowText prompt_completion(const nlohmann::ordered_json& row);

  /// What the model is given to answer the row's `messages` (or `conversations`, or `prompt`): them
  /// with the start of an answer, or, where the last is the assistant's, up to its end, to go on
  /// from there.
  RowText prompt(const nlohmann::ordered_json& row);

 private:
  struct Conversation;
  Conversation conversation(const nlohmann::ordered_json& row,
                            const std::vector<std::string>& columns);
  RowText answers(const Conversation& conversation, i64 first);
  RowText behind_prompt(const Conversation& conversation, i64 first);
  RowText everything(const Conversation& conversation);
  void leave_out_unwanted(const Conversation& conversation, RowText& row) const;
  void learn_answer(const AnswerSpan& answer, const Message& message, RowText& row) const;
  RowText checked(const Conversation& conversation, std::string text);

  const ChatTemplate& chat_;
  const ControlText& control_;
  ChatRowOptions options_;
  RoleCheck roles_;
};

}  // namespace inlay
