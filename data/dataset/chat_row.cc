// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/chat_row.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/config/json.h"
#include "core/error.h"
#include "data/template/thinking.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;
using jinja::Value;

const Json& message_list(const Json& row, const std::string& column) {
  const Json& list = row.at(column);
  if (list.is_array() && !list.empty()) {
    return list;
  }
  const std::string error = str("/", column, ": must be a list of messages, not ",
                                list.is_array() ? "an empty one" : list.type_name());
  // Without messages a row is empty; a completion without its prompt is a mistake.
  if ((list.is_array() || list.is_null()) && column != "prompt") {
    throw EmptyRow(error);
  }
  throw DataError(error);
}

/// LLaMA-Factory lists functions without OpenAI's frame around them.
Json framed(const Json& tool) {
  const bool bare = tool.is_object() && tool.contains("name") && !tool.contains("function");
  return bare ? Json{{"type", "function"}, {"function", tool}} : tool;
}

/// The text of tools in the terms of those templates that name `tool.function`.
void frame_tools(Json& row) {
  if (!row.contains("tools") || row["tools"].is_null() || row["tools"] == "") {
    row.erase("tools");
    return;
  }
  Json tools = row["tools"];
  if (tools.is_string()) {
    tools = parse_ordered_json(tools.get_ref<const std::string&>(), "/tools");
  }
  if (tools.is_array()) {
    std::transform(tools.begin(), tools.end(), tools.begin(), framed);
  }
  row["tools"] = std::move(tools);
}

/// `system`, in front of messages that have none.
void put_system_first(Json& row) {
  const Json system = row.contains("system") ? row["system"] : Json();
  if (system.is_null() || system == "") {
    return;
  }
  if (!system.is_string()) {
    throw DataError(str("/system: must be a string, not ", system.type_name()));
  }
  Json& messages = row["conversations"];
  if (!messages.is_array() || messages.empty()) {
    return;  // an empty row
  }
  const auto names = [&](const char* key) {
    return messages[0].is_object() && messages[0].contains(key) && messages[0][key] == "system";
  };
  if (names("from") || names("role")) {
    throw DataError(
        "/system: there is a system message in /conversations, too: leave one of them "
        "out");
  }
  messages.insert(messages.begin(), Json{{"role", "system"}, {"content", system}});
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

Value read_documents(const Json& row) {
  if (!row.contains("documents") || row["documents"].is_null()) {
    return Value();
  }
  const Json& documents = row["documents"];
  const bool dicts = documents.is_array() &&
                     std::all_of(documents.begin(), documents.end(),
                                 [](const Json& document) { return document.is_object(); });
  if (!dicts) {
    throw DataError(str("/documents: must be a list of objects (title, text …) or null, not ",
                        documents.is_array() ? "a list of others" : documents.type_name()));
  }
  return Value::from_json(documents, "/documents");
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
  MessageList list;
  ChatOptions options;
  bool spells_control = false;
  bool joins_parts = false;

  std::span<const Message> messages() const { return list.messages; }
};

RowText ChatRowReader::messages(const Json& row) {
  const Conversation chat = conversation(row, {"messages"});
  return options_.loss.assistant_only.value_or(true) ? answers(chat, 0) : everything(chat);
}

RowText ChatRowReader::sharegpt(const Json& row) {
  Json copy = row;
  put_system_first(copy);
  frame_tools(copy);
  const Conversation chat = conversation(copy, {"conversations"});
  return options_.loss.assistant_only.value_or(true) ? answers(chat, 0) : everything(chat);
}

RowText ChatRowReader::prompt_completion(const Json& row) {
  const Conversation chat = conversation(row, {"prompt", "completion"});
  // Both columns make one list, in which the completion's messages begin here.
  const i64 first = row["prompt"].size();
  const bool completion_only = options_.loss.completion_only.value_or(true);
  if (options_.loss.assistant_only.value_or(true)) {
    return answers(chat, completion_only ? first : 0);
  }
  return completion_only ? behind_prompt(chat, first) : everything(chat);
}

ChatRowReader::Conversation ChatRowReader::conversation(const Json& row,
                                                        const std::vector<std::string>& columns) {
  Json read = Json::object();
  for (const char* column : {"tools", "documents", "chat_template_kwargs"}) {
    if (row.contains(column)) {
      read[column] = row[column];
    }
  }
  for (const std::string& column : columns) {
    read[column] = message_list(row, column);
  }
  Conversation chat;
  // Before anything is read: tools and variables may spell a control token as well as messages.
  chat.spells_control =
      options_.parse_control ? control_.is_in_any(read) : control_.break_all(read);
  chat.options.tools = read_tools(read);
  chat.options.documents = read_documents(read);
  chat.options.variables = read_variables(read);
  chat.options.now = options_.now;
  for (const std::string& column : columns) {
    // Only where a row has parts is the template asked whether it takes them: that costs a
    // rendering.
    const MessageStyle style = {
        .sharegpt = column == "conversations",
        .join_parts = has_parts(read[column]) && !roles_.reads_parts(chat.options)};
    chat.joins_parts = chat.joins_parts || style.join_parts;
    append_messages(read[column], column, style, chat.list);
  }
  return chat;
}

RowText ChatRowReader::checked(const Conversation& chat, std::string text) {
  const RoleCheck::LeftOut left_out = roles_.check(chat.list, chat.options, text);
  RowText row;
  row.origin = RowText::Origin::kTemplate;
  row.text = std::move(text);
  row.spells_control = chat.spells_control;
  row.parse_control = options_.parse_control;
  row.leaves_out_message = left_out.message;
  row.leaves_out_tools = left_out.tools;
  row.leaves_out_thinking = left_out.thinking;
  row.joins_parts = chat.joins_parts;
  return row;
}

RowText ChatRowReader::answers(const Conversation& chat, i64 first) {
  RenderedChat rendered = chat_.render_with_spans(chat.messages(), chat.options);
  RowText row = checked(chat, std::move(rendered.text));
  row.learnt.emplace();
  bool any = false;
  row.empty_answer = true;
  for (const AnswerSpan& answer : rendered.answers) {
    const auto& weight = chat.list.weights[answer.message];
    if (answer.message < first) {
      continue;
    }
    any = true;
    // Every answer is cut off, learnt or not, so that the one after it is encoded as the model will
    // see it.
    row.cuts.push_back(static_cast<i64>(answer.begin));
    if (!weight || weight->learnt) {
      const Message& message = chat.messages()[answer.message];
      learn_answer(answer, message, row);
      row.empty_answer = row.empty_answer && message.text().empty() &&
                         message.value().as_dict().find("tool_calls") == nullptr;
    }
  }
  for (std::size_t i = 0; i < chat.list.weights.size(); ++i) {
    const auto& weight = chat.list.weights[i];
    if (weight && weight->learnt && !chat.messages()[i].is_assistant()) {
      throw DataError(str(chat.list.places[i], "/", weight->key,
                          ": asks to learn a message of the ", "role \"",
                          printable(chat.messages()[i].role()), "\"; only the assistant's can be"));
    }
  }
  if (!any) {
    throw DataError(str("nothing to learn: no message has the role \"assistant\" (there are ",
                        roles_in(chat.messages().subspan(first)), ")"));
  }
  if (row.learnt->empty()) {
    throw EmptyRow("nothing to learn: no assistant message has another weight than 0");
  }
  return row;
}

/// All of it, or what is outside of the thoughts that are not to be learnt.
void ChatRowReader::learn_answer(const AnswerSpan& answer, const Message& message,
                                 RowText& row) const {
  const TrainThinking thinking = options_.loss.thinking;
  const bool all =
      thinking == TrainThinking::kAll || (thinking == TrainThinking::kOwn && has_thinking(message));
  i64 from = static_cast<i64>(answer.begin);
  if (all) {
    row.learnt->push_back({from, static_cast<i64>(answer.end)});
    return;
  }
  for (const ThinkingBlock& block : thinking_in(row.text, answer.begin, answer.end)) {
    if (from < static_cast<i64>(block.begin)) {
      row.learnt->push_back({from, static_cast<i64>(block.begin)});
    }
    from = static_cast<i64>(block.end);
    // Behind an empty thought the model begins to write as behind a prompt: who asks for answers
    // without thinking puts it there.
    row.cuts.push_back(from);
  }
  if (from < static_cast<i64>(answer.end)) {
    row.learnt->push_back({from, static_cast<i64>(answer.end)});
  }
}

RowText ChatRowReader::prompt(const Json& row) {
  Json renamed = row;
  const bool sharegpt = row.contains("conversations");
  if (sharegpt) {
    put_system_first(renamed);
    frame_tools(renamed);
  }
  const std::vector<std::string> columns = {sharegpt                 ? "conversations"
                                            : row.contains("prompt") ? "prompt"
                                                                     : "messages"};
  Conversation chat = conversation(renamed, columns);
  const bool goes_on = chat.messages().back().is_assistant();
  chat.options.continue_final_message = goes_on;
  chat.options.add_generation_prompt = !goes_on;
  RowText text;
  text.origin = RowText::Origin::kTemplate;
  text.text = chat_.render(chat.messages(), chat.options);
  text.spells_control = chat.spells_control;
  text.parse_control = options_.parse_control;
  return text;
}

RowText ChatRowReader::behind_prompt(const Conversation& chat, i64 first) {
  RowText row = checked(chat, chat_.render(chat.messages(), chat.options));
  // The text that the model is given when it is asked for the completion.
  ChatOptions asking = chat.options;
  asking.add_generation_prompt = true;
  const std::string prompt = chat_.render(chat.messages().first(first), asking);
  if (!row.text.starts_with(prompt)) {
    throw DataError(
        "the chat template renders the prompt by itself differently from the start of the whole "
        "conversation, so the completion has no fixed place in it");
  }
  const i64 border = prompt.size();
  row.learnt = {{border, static_cast<i64>(row.text.size())}};
  row.cuts = {border};
  leave_out_unwanted(chat, row);
  return row;
}

RowText ChatRowReader::everything(const Conversation& chat) {
  RowText row = checked(chat, chat_.render(chat.messages(), chat.options));
  leave_out_unwanted(chat, row);
  return row;
}

/// Takes answers of weight 0 out of what is learnt.
void ChatRowReader::leave_out_unwanted(const Conversation& chat, RowText& row) const {
  const auto& weights = chat.list.weights;
  const auto unwanted = [&](std::size_t i) { return weights[i] && !weights[i]->learnt; };
  bool any = false;
  for (std::size_t i = 0; i < weights.size(); ++i) {
    any = any || unwanted(i);
    if (unwanted(i) && !chat.messages()[i].is_assistant()) {
      throw DataError(
          str(chat.list.places[i], "/", weights[i]->key,
              ": only an assistant's message can be left out of what is learnt, not one "
              "of the role \"",
              printable(chat.messages()[i].role()), '"'));
    }
  }
  if (!any) {
    return;
  }
  i64 from = row.learnt ? row.learnt->front().begin : 0;
  std::vector<ByteRange> kept;
  for (const AnswerSpan& answer : chat_.render_with_spans(chat.messages(), chat.options).answers) {
    if (unwanted(static_cast<std::size_t>(answer.message)) && static_cast<i64>(answer.end) > from) {
      kept.push_back({from, std::max(from, static_cast<i64>(answer.begin))});
      from = static_cast<i64>(answer.end);
    }
  }
  kept.push_back({from, static_cast<i64>(row.text.size())});
  std::erase_if(kept, [](const ByteRange& r) { return r.begin >= r.end; });
  row.learnt = std::move(kept);
}

}  // namespace inlay
