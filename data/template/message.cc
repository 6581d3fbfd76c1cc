// SPDX-License-Identifier: Apache-2.0
#include "data/template/message.h"

#include <nlohmann/json.hpp>
#include <utility>

#include "core/error.h"

namespace inlay {
namespace {

using jinja::Dict;
using jinja::Kind;
using jinja::Value;

void check_parts(const nlohmann::ordered_json& parts, std::string_view where) {
  for (const auto& part : parts) {
    const bool text = part.is_object() && part.value("type", nlohmann::ordered_json()) == "text" &&
                      part.contains("text") && part["text"].is_string();
    if (!text) {
      throw DataError(str(where,
                          ": a part of \"content\" is not {\"type\": \"text\", \"text\": "
                          "string}; only text can be learnt"));
    }
  }
}

void check_message(const nlohmann::ordered_json& json, std::string_view where) {
  if (!json.is_object()) {
    throw DataError(str(where, ": a message must be an object, not ", json.type_name()));
  }
  if (!json.contains("role") || !json["role"].is_string()) {
    throw DataError(str(where, ": a message needs a \"role\" that is a string"));
  }
  if (!json.contains("content")) {
    if (!json.contains("tool_calls")) {
      throw DataError(str(where, ": a message needs a \"content\" (or \"tool_calls\")"));
    }
    return;
  }
  const auto& content = json["content"];
  if (content.is_array()) {
    check_parts(content, where);
  } else if (!content.is_string() && !content.is_null()) {
    throw DataError(str(where, ": \"content\" must be a string, a list of text parts or null, not ",
                        content.type_name()));
  }
}

Value without_nulls(const Value& message) {
  Dict dict;
  for (const auto& [key, value] : message.as_dict().entries()) {
    if (!value.is(Kind::kNone)) {
      dict.set(key, value);
    }
  }
  return Value(std::move(dict));
}

/// {"thinking": reasoning, **message, "reasoning_content": reasoning}
Value with_reasoning_names(const Value& message) {
  for (const char* name : {"reasoning_content", "thinking", "reasoning"}) {
    const Value* reasoning = message.as_dict().find(name);
    if (reasoning == nullptr) {
      continue;
    }
    Dict dict;
    dict.set("thinking", *reasoning);
    for (const auto& [key, value] : message.as_dict().entries()) {
      dict.set(key, value);
    }
    dict.set("reasoning_content", *reasoning);
    return Value(std::move(dict));
  }
  return message;
}

}  // namespace

Message::Message(std::string_view role, std::string_view content) {
  Dict dict;
  dict.set("role", Value(role));
  dict.set("content", Value(content));
  value_ = Value(std::move(dict));
}

Message Message::from_json(const nlohmann::ordered_json& json, std::string_view where) {
  check_message(json, where);
  return Message(with_reasoning_names(without_nulls(Value::from_json(json, where))));
}

Message Message::with_content(std::string_view content) const {
  Dict dict = value_.as_dict();
  dict.set("content", Value(content));
  return Message(Value(std::move(dict)));
}

Message Message::with_text_appended(std::string_view text) const {
  const Value* content = value_.as_dict().find("content");
  if (content == nullptr || !content->is(Kind::kSequence) || content->items().empty()) {
    return with_content(str(this->text(), text));
  }
  std::vector<Value> parts(content->items().begin(), content->items().end());
  Dict last = parts.back().as_dict();
  last.set("text", Value(str(last.find("text")->as_string(), text)));
  parts.back() = Value(std::move(last));
  Dict dict = value_.as_dict();
  dict.set("content", Value::list(std::move(parts)));
  return Message(Value(std::move(dict)));
}

std::optional<Message> Message::with_call_argument(std::string_view name) const {
  const Value* calls = value_.as_dict().find("tool_calls");
  if (calls == nullptr || !calls->is(Kind::kSequence) || calls->items().empty() ||
      !calls->items().back().is(Kind::kDict)) {
    return std::nullopt;
  }
  Dict call = calls->items().back().as_dict();
  const Value* framed = call.find("function");  // as OpenAI has it
  const bool framed_dict = framed != nullptr && framed->is(Kind::kDict);
  Dict function = framed_dict ? framed->as_dict() : call;
  Dict arguments;
  arguments.set(name, Value(i64{1}));
  const Value* given = function.find("arguments");
  const bool text = given != nullptr && given->is(Kind::kString);
  function.set("arguments", text ? Value(str("{\"", name, "\": 1}")) : Value(std::move(arguments)));
  if (framed_dict) {
    call.set("function", Value(std::move(function)));
  } else {
    call = std::move(function);
  }
  std::vector<Value> list(calls->items().begin(), calls->items().end());
  list.back() = Value(std::move(call));
  Dict dict = value_.as_dict();
  dict.set("tool_calls", Value::list(std::move(list)));
  return Message(Value(std::move(dict)));
}

std::string Message::last_call_name() const {
  const Value* calls = value_.as_dict().find("tool_calls");
  if (calls == nullptr || !calls->is(Kind::kSequence) || calls->items().empty() ||
      !calls->items().back().is(Kind::kDict)) {
    return "";
  }
  const Value& call = calls->items().back();
  const Value* framed = call.as_dict().find("function");
  const Value& function = framed != nullptr && framed->is(Kind::kDict) ? *framed : call;
  const Value* name = function.as_dict().find("name");
  return name != nullptr && name->is(Kind::kString) ? name->as_string() : "";
}

std::string Message::reasoning() const {
  const Value* reasoning = value_.as_dict().find("reasoning_content");
  return reasoning != nullptr && reasoning->is(Kind::kString) ? reasoning->as_string() : "";
}

const std::string& Message::role() const {
  return value_.as_dict().find("role")->as_string();
}

std::string Message::text() const {
  const Value* content = value_.as_dict().find("content");
  if (content == nullptr) {
    return "";
  }
  if (content->is(Kind::kString)) {
    return content->as_string();
  }
  std::string text;
  for (const Value& part : content->items()) {
    text += part.as_dict().find("text")->as_string();
  }
  return text;
}

std::string_view Message::last_text() const {
  const Value* content = value_.as_dict().find("content");
  if (content != nullptr && content->is(Kind::kSequence) && !content->items().empty()) {
    content = content->items().back().as_dict().find("text");
  }
  return content != nullptr && content->is(Kind::kString) ? content->as_string()
                                                          : std::string_view();
}

}  // namespace inlay
