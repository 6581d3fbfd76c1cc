// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "data/template/message.h"

/// Lists of messages as data files spell them, in the terms that chat templates read.
///
///   {"from": "human", "value": "Hi"}      becomes {"role": "user", "content": "Hi"}
///   "function_call" with a JSON text      an assistant's message with tool_calls
///   a key that is null                    none at all, but for `content`: tables write null for
///                                         what a message lacks
///
/// Roles are lower case everywhere, so "User" is refused. Names of roles are those of ShareGPT
/// (human, gpt, observation …) where a message has `from`, or the list is a row's `conversations`;
/// elsewhere a role is up to the template.
namespace inlay {

/// Whether a message asks to be learnt or not to be, and by which key.
struct MessageWeight {
  bool learnt = true;
  std::string key;
};

struct MessageList {
  std::vector<Message> messages;
  std::vector<std::string> places;                    // "/messages/3", for errors
  std::vector<std::optional<MessageWeight>> weights;  // nothing: not said
};

struct MessageStyle {
  /// Names of roles are ShareGPT's.
  bool sharegpt = false;
  /// The template takes no lists for content: text parts are joined.
  bool join_parts = false;
};

/// The messages of a column behind those in `list`. Throws DataError with the place of what is
/// wrong.
///
/// A message may say whether it is learnt: `weight`, `loss_weight` (0 or 1), `train`, `training`
/// or `loss` (false or true), as OpenAI, mistral-finetune, axolotl and ms-swift spell it. Other
/// weights are refused.
void append_messages(const nlohmann::ordered_json& messages, const std::string& column,
                     const MessageStyle& style, MessageList& list);

/// Whether any message of the list has a list for its content.
bool has_parts(const nlohmann::ordered_json& messages);

}  // namespace inlay
