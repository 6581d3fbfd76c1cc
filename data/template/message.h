// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "data/template/value.h"

namespace inlay {

/// One message of a conversation, with every key it came with: templates read `tool_calls`, `name`,
/// `reasoning_content` and more.
class Message {
 public:
  Message(std::string_view role, std::string_view content);

  /// Reads an object with a `role` and a `content`: a string, a list of {"type": "text", "text": …}
  /// parts, or null. Throws DataError, opened by `where`, for anything else.
  ///
  /// Keys whose value is null are left out, for templates ask whether a key is there. A key
  /// `reasoning_content`, `thinking` or `reasoning` is handed to the template under the first
  /// two names: templates differ in which they read. Transformers does both.
  static Message from_json(const nlohmann::ordered_json& json, std::string_view where);

  /// The same with another content.
  Message with_content(std::string_view content) const;
  /// The same with more text at the end of the content, or of its last part.
  Message with_text_appended(std::string_view text) const;
  /// The same with a last call whose only argument has that name; nothing without a call.
  std::optional<Message> with_call_argument(std::string_view name) const;
  /// The name of the function that its last call is of, "" without a call.
  std::string last_call_name() const;
  /// What the assistant thought before the answer, where it stands in a key of its own; else "".
  std::string reasoning() const;

  const std::string& role() const;
  bool is_assistant() const { return role() == "assistant"; }
  /// The content, its parts joined, or "" for none.
  std::string text() const;
  /// The content, or the last of its parts.
  std::string_view last_text() const;
  /// The dict the template sees.
  const jinja::Value& value() const { return value_; }

 private:
  explicit Message(jinja::Value value) : value_(std::move(value)) {}

  jinja::Value value_;
};

}  // namespace inlay
