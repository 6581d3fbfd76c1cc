// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <set>
#include <string>
#include <string_view>

#include "data/dataset/messages.h"
#include "data/template/chat_template.h"

namespace inlay {

/// Finds what a chat template leaves out without a word: a template asks for the roles it knows,
/// and most write nothing of a message whose role is another.
///
/// Whether a message is written is seen by giving it a content of our own and looking for that. A
/// role that was written once is known, so this costs one more rendering for each role; and one for
/// each message whose content is not in the text as it stands, which is rare.
class RoleCheck {
 public:
  /// `chat` must outlive this.
  explicit RoleCheck(const ChatTemplate& chat) : chat_(chat) {}

  struct LeftOut {
    bool message = false;  // of a role that is known, or a call in it
    bool tools = false;
    bool thinking = false;  // of the assistant
  };
  /// What is missing in `text`, which is the list as it was rendered with `options`. Throws
  /// DataError for a message whose role the template does not know.
  LeftOut check(const MessageList& list, const ChatOptions& options, std::string_view text);

  /// Whether the template takes a list of text parts for a content.
  bool reads_parts(const ChatOptions& options);

 private:
  bool is_written(const MessageList& list, std::size_t at, const ChatOptions& options) const;

  const ChatTemplate& chat_;
  std::set<std::string> known_roles_;
  std::optional<bool> reads_parts_;
};

}  // namespace inlay
