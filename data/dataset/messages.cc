// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/messages.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/config/json.h"
#include "core/error.h"

namespace inlay {
namespace {

using Json = nlohmann::ordered_json;

struct RoleName {
  std::string_view sharegpt;
  std::string_view role;
};
constexpr RoleName kShareGptRoles[] = {{"human", "user"},
                                       {"user", "user"},
                                       {"gpt", "assistant"},
                                       {"chatgpt", "assistant"},
                                       {"bot", "assistant"},
                                       {"model", "assistant"},
                                       {"assistant", "assistant"},
                                       {"system", "system"},
                                       {"tool", "tool"},
                                       {"observation", "tool"},
                                       {"function_response", "tool"}};
constexpr std::string_view kFunctionCall = "function_call";

/// Roles whose spelling in other letters is a slip.
constexpr std::string_view kLowerCaseRoles[] = {"system",    "user",     "assistant", "tool",
                                                "developer", "function", "human",     "gpt"};

constexpr const char* kWeightKeys[] = {"weight", "loss_weight", "train", "training", "loss"};
/// axolotl's learning of parts of a message.
constexpr const char* kPartWeights[] = {"train_detail", "training_detail"};

std::string lower_case(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(), [](char c) {
    return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c;
  });
  return text;
}

bool has(const Json& message, const char* key) {
  return message.contains(key) && !message[key].is_null();
}

/// Without keys that are null, and with the names of role and content that templates know.
Json renamed(const Json& message) {
  const bool from = has(message, "from") && !has(message, "role");
  Json result = Json::object();
  for (const auto& [key, value] : message.items()) {
    const std::string name = !from            ? key
                             : key == "from"  ? "role"
                             : key == "value" ? "content"
                                              : key;
    const bool other_name = from && key == "content" && message.contains("value");
    if (!value.is_null() || (name == "content" && !other_name)) {
      result[name] = value;
    }
  }
  return result;
}

/// What ShareGPT writes for a call, a JSON text, to what OpenAI does.
Json tool_calls(const Json& content, const std::string& where) {
  if (!content.is_string()) {
    throw DataError(str(where, ": a function_call must be JSON text, not ", content.type_name()));
  }
  Json calls = parse_ordered_json(content.get_ref<const std::string&>(), where);
  if (calls.is_object()) {
    calls = Json::array({calls});
  }
  Json list = Json::array();
  for (const Json& call : calls) {
    if (!call.is_object() || !call.contains("name")) {
      throw DataError(str(where,
                          ": a function_call must be {\"name\", \"arguments\"} or a list of "
                          "those"));
    }
    list.push_back({{"type", "function"}, {"function", call}});
  }
  return list;
}

void use_sharegpt_role(Json& message, const std::string& where) {
  const std::string role = message["role"];
  if (role == kFunctionCall) {
    message["role"] = "assistant";
    message["tool_calls"] = tool_calls(message.value("content", Json()), where);
    message["content"] = "";
    return;
  }
  const auto* known = std::find_if(std::begin(kShareGptRoles), std::end(kShareGptRoles),
                                   [&](const RoleName& name) { return name.sharegpt == role; });
  if (known != std::end(kShareGptRoles)) {
    message["role"] = known->role;
  }
}

void check_role(const std::string& role, const std::string& where) {
  const std::string lower = lower_case(role);
  if (lower != role && std::find(std::begin(kLowerCaseRoles), std::end(kLowerCaseRoles), lower) !=
                           std::end(kLowerCaseRoles)) {
    throw DataError(str(where, ": the role \"", printable(role), "\" differs from \"", lower,
                        "\" only in case: roles are written in lower case"));
  }
}

/// Templates would print None, or fail.
void check_content(const Json& message, const std::string& where) {
  if (message.contains(kFunctionCall)) {
    throw DataError(str(where,
                        "/function_call: is an old form that templates do not read; write "
                        "\"tool_calls\""));
  }
  const bool null = message.contains("content") && message["content"].is_null();
  const auto something = [&](const char* key) { return message.contains(key); };
  if (null && !something("tool_calls") && !something("reasoning_content") &&
      !something("thinking") && !something("reasoning")) {
    throw DataError(str(where,
                        "/content: must be a string, not null, in a message without "
                        "tool_calls"));
  }
}

void join_parts(Json& message) {
  std::string text;
  for (const Json& part : message["content"]) {
    text += part["text"].get_ref<const std::string&>();
  }
  message["content"] = text;
}

std::optional<bool> weight_at(const Json& message, const char* key, const std::string& where) {
  // Elsewhere "loss" is a figure somebody measured.
  if (!message.contains(key) || (key == std::string_view("loss") && !message[key].is_boolean())) {
    return std::nullopt;
  }
  const Json& value = message[key];
  if (value.is_boolean()) {
    return value.get<bool>();
  }
  if (value.is_number() && (value == 0 || value == 1)) {
    return value == 1;
  }
  throw DataError(str(where, "/", key, ": must be 0 or 1 (not learnt, learnt), not ",
                      printable(value.dump()), "; other weights are not supported"));
}

std::optional<MessageWeight> weight_of(const Json& message, const std::string& where) {
  for (const char* key : kPartWeights) {
    if (message.contains(key)) {
      throw DataError(str(where, "/", key,
                          ": is not supported; a message is learnt as a whole or not at all "
                          "(\"train\")"));
    }
  }
  std::optional<MessageWeight> found;
  for (const char* key : kWeightKeys) {
    const auto learnt = weight_at(message, key, where);
    if (learnt && found && found->learnt != *learnt) {
      throw DataError(str(where, ": \"", found->key, "\" and \"", key, "\" contradict each other"));
    }
    if (learnt && !found) {
      found = {*learnt, key};
    }
  }
  return found;
}

}  // namespace

void append_messages(const Json& messages, const std::string& column, const MessageStyle& style,
                     MessageList& list) {
  for (std::size_t i = 0; i < messages.size(); ++i) {
    const std::string where = str("/", column, "/", i);
    if (!messages[i].is_object()) {
      throw DataError(str(where, ": a message must be an object, not ", messages[i].type_name()));
    }
    Json message = renamed(messages[i]);
    if (message.contains("role") && message["role"].is_string()) {
      check_role(message["role"], where);
      if (style.sharegpt || !has(messages[i], "role")) {
        use_sharegpt_role(message, where);
      }
    }
    list.weights.push_back(weight_of(message, where));
    check_content(message, where);
    if (message.contains("tool_calls") && !has(message, "content")) {
      message.erase("content");  // as Transformers does: templates would print None
    }
    list.messages.push_back(Message::from_json(message, where));
    if (style.join_parts && message.contains("content") && message["content"].is_array()) {
      join_parts(message);
      list.messages.back() = Message::from_json(message, where);
    }
    list.places.push_back(where);
  }
}

bool has_parts(const Json& messages) {
  return std::any_of(messages.begin(), messages.end(), [](const Json& message) {
    return message.is_object() && ((message.contains("content") && message["content"].is_array()) ||
                                   (message.contains("value") && message["value"].is_array()));
  });
}

}  // namespace inlay
