// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/role_check.h"

#include <algorithm>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "data/template/characters.h"
#include "data/template/thinking.h"

namespace inlay {
namespace {

using jinja::Kind;
using jinja::Value;

/// No template looks for it, and none changes letters.
constexpr std::string_view kProbe = "XcontentprobeX";

/// What people call roles that templates name otherwise.
std::string hint(std::string_view role) {
  for (const std::string_view name : {"human", "User", "prompter"}) {
    if (role == name) {
      return " (did you mean \"user\"?)";
    }
  }
  for (const std::string_view name : {"gpt", "bot", "model", "ai"}) {
    if (role == name) {
      return " (did you mean \"assistant\"?)";
    }
  }
  const std::vector<std::string> usual = {"system", "user", "assistant", "tool"};
  return did_you_mean(role, usual);
}

/// The name of a function, or of a call of one.
const Value* name_of(const Value& tool) {
  if (!tool.is(Kind::kDict)) {
    return nullptr;
  }
  const Value* function = tool.as_dict().find("function");
  const Value& named = function != nullptr && function->is(Kind::kDict) ? *function : tool;
  const Value* name = named.as_dict().find("name");
  return name != nullptr && name->is(Kind::kString) ? name : nullptr;
}

/// Whether the names of all functions in a list are in `text`.
bool all_named(const Value* list, std::string_view text) {
  return list == nullptr || !list->is(Kind::kSequence) ||
         std::all_of(list->items().begin(), list->items().end(), [&](const Value& tool) {
           const Value* name = name_of(tool);
           return name == nullptr || text.find(name->as_string()) != std::string_view::npos;
         });
}

/// Whether what the assistant thought, if it did, is in `text`.
bool thought_is_in(const Message& message, std::string_view text) {
  const std::string reasoning = message.reasoning();
  if (!reasoning.empty()) {
    return text.find(jinja::strip(reasoning)) != std::string_view::npos;
  }
  const std::string content = message.text();
  for (const ThinkingBlock& block : thinking_in(content, 0, content.size())) {
    const std::string_view framed =
        std::string_view(content).substr(block.begin, block.end - block.begin);
    // Templates set white space of their own around the thought.
    if (text.find(thought_in(framed)) == std::string_view::npos) {
      return false;
    }
  }
  return true;
}

}  // namespace

RoleCheck::LeftOut RoleCheck::check(const MessageList& list, const ChatOptions& options,
                                    std::string_view text) {
  LeftOut left_out;
  left_out.tools = !all_named(&options.tools, text);
  for (std::size_t i = 0; i < list.messages.size(); ++i) {
    const Message& message = list.messages[i];
    const Value* calls = message.value().as_dict().find("tool_calls");
    left_out.message = left_out.message || !all_named(calls, text);
    left_out.thinking =
        left_out.thinking || (message.is_assistant() && !thought_is_in(message, text));
    if (calls != nullptr && calls->truthy()) {
      continue;  // many templates write calls in place of the content
    }
    const std::string content = message.text();
    const std::string_view wanted = jinja::strip(content);
    const bool known = known_roles_.count(message.role()) > 0;
    // Nearly every message ends here, without a rendering of its own.
    if (known && text.find(wanted) != std::string_view::npos) {
      continue;
    }
    if (is_written(list, i, options)) {
      known_roles_.insert(message.role());
    } else if (known) {
      left_out.message = true;
    } else {
      throw DataError(str(list.places[i], ": the chat template writes nothing of a message whose ",
                          "role is \"", printable(message.role()), '"', hint(message.role())));
    }
  }
  return left_out;
}

bool RoleCheck::is_written(const MessageList& list, std::size_t at,
                           const ChatOptions& options) const {
  std::vector<Message> probed = list.messages;
  // A content may be found in the text by chance ("Hi"); the probe is not.
  probed[at] = probed[at].with_content(kProbe);
  try {
    return chat_.render(probed, options).find(kProbe) != std::string::npos;
  } catch (const DataError&) {
    return true;  // it looks into the content, so it does not pass it over
  }
}

bool RoleCheck::reads_parts(const ChatOptions& options) {
  if (!reads_parts_) {
    const nlohmann::ordered_json part = {{"type", "text"}, {"text", kProbe}};
    const Message message = Message::from_json(
        {{"role", "user"}, {"content", nlohmann::ordered_json::array({part})}}, "");
    try {
      const std::string text = chat_.render(std::span(&message, 1), options);
      // A template that takes contents for strings prints the list as Python does.
      reads_parts_ =
          text.find(kProbe) != std::string::npos && text.find("'type'") == std::string::npos;
    } catch (const DataError&) {
      reads_parts_ = false;
    }
  }
  return *reads_parts_;
}

}  // namespace inlay
