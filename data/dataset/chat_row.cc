// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/chat_row.h"

#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/config/json.h"
#include "core/error.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;
using jinja::Value;

void append_messages(const Json& row, const std::string& column, std::vector<Message>& messages) {
  const Json& list = row.at(column);
  if (!list.is_array() || list.empty()) {
    throw DataError(str("/", column, ": must be a list of messages, not ",
                        list.is_array() ? "an empty one" : list.type_name()));
  }
  for (std::size_t i = 0; i < list.size(); ++i) {
    messages.push_back(Message::from_json(list[i], str("/", column, "/", i)));
  }
}

Value read_tools(const Json& row) {
  if (!row.contains("tools")) {
    return Value();
  }
  Json tools = row["tools"];
  if (tools.is_string()) {
    tools = parse_ordered_json(tools.get_ref<const std::string&>(), "/tools");
  }
  if (!tools.is_null() && !tools.is_array()) {
    throw DataError(str("/tools: must be a list, its text or null, not ", tools.type_name()));
  }
  return Value::from_json(tools, "/tools");
}

Value read_variables(const Json& row) {
  constexpr const char* kColumn = "chat_template_kwargs";
  if (!row.contains(kColumn) || row[kColumn].is_null()) {
    return Value();
  }
  if (!row[kColumn].is_object()) {
    throw DataError(str("/", kColumn, ": must be an object, not ", row[kColumn].type_name()));
  }
  return Value::from_json(row[kColumn], str("/", kColumn));
}

std::string roles_in(std::span<const Message> messages) {
  std::set<std::string> roles;
  std::string list;
  for (const Message& message : messages) {
    if (roles.insert(message.role()).second) {
      list += str(list.empty() ? "" : ", ", '"', printable(message.role()), '"');
    }
  }
  return list;
}

}  // namespace

struct ChatRowReader::Conversation {
  std::vector<Message> messages;
  ChatOptions options;
  bool spells_control = false;

  RowText as_row(std::string text) const {
    RowText row;
    row.origin = RowText::Origin::kTemplate;
    row.text = std::move(text);
    row.spells_control = spells_control;
    return row;
  }
};

RowText ChatRowReader::messages(const Json& row) const {
  const Conversation chat = conversation(row, {"messages"});
  return loss_.assistant_only.value_or(true) ? answers(chat, 0) : everything(chat);
}

RowText ChatRowReader::prompt_completion(const Json& row) const {
  const Conversation chat = conversation(row, {"prompt", "completion"});
  const i64 first = row["prompt"].size();
  const bool completion_only = loss_.completion_only.value_or(true);
  if (loss_.assistant_only.value_or(true)) {
    return answers(chat, completion_only ? first : 0);
  }
  return completion_only ? behind_prompt(chat, first) : everything(chat);
}

ChatRowReader::Conversation ChatRowReader::conversation(
    const Json& row, const std::vector<std::string>& columns) const {
  Json read = Json::object();
  for (const char* column : {"tools", "chat_template_kwargs"}) {
    if (row.contains(column)) {
      read[column] = row[column];
    }
  }
  for (const std::string& column : columns) {
    read[column] = row[column];
  }
  Conversation chat;
  chat.spells_control = control_.break_all(read);
  for (const std::string& column : columns) {
    append_messages(read, column, chat.messages);
  }
  chat.options.tools = read_tools(read);
  chat.options.variables = read_variables(read);
  chat.options.now = now_;
  return chat;
}

RowText ChatRowReader::answers(const Conversation& chat, i64 first) const {
  RenderedChat rendered = chat_.render_with_spans(chat.messages, chat.options);
  RowText row = chat.as_row(std::move(rendered.text));
  row.learnt.emplace();
  for (const AnswerSpan& answer : rendered.answers) {
    if (answer.message >= first) {
      row.learnt->push_back({static_cast<i64>(answer.begin), static_cast<i64>(answer.end)});
      row.cuts.push_back(static_cast<i64>(answer.begin));
    }
  }
  if (row.learnt->empty()) {
    const auto messages = std::span(chat.messages).subspan(first);
    throw DataError(str("nothing to learn: no message has the role \"assistant\" (there are ",
                        roles_in(messages), ")"));
  }
  return row;
}

RowText ChatRowReader::behind_prompt(const Conversation& chat, i64 first) const {
  RowText row = everything(chat);
  ChatOptions asking = chat.options;
  asking.add_generation_prompt = true;
  const std::string prompt = chat_.render(std::span(chat.messages).subspan(0, first), asking);
  if (!row.text.starts_with(prompt)) {
    throw DataError(
        "the chat template renders the prompt by itself differently from the start of the whole "
        "conversation, so the completion has no fixed place in it");
  }
  const i64 border = prompt.size();
  row.learnt = {{border, static_cast<i64>(row.text.size())}};
  row.cuts = {border};
  return row;
}

RowText ChatRowReader::everything(const Conversation& chat) const {
  return chat.as_row(chat_.render(chat.messages, chat.options));
}

}  // namespace inlay
