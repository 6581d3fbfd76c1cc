// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstddef>
#include <string_view>
#include <vector>

#include "data/template/message.h"

/// What a model wrote to itself before its answer, as templates frame it: <think> … </think>,
/// [THINK] … [/THINK], a channel of its own.
namespace inlay {

struct ThinkingBlock {
  /// Bytes of the text it was found in, the frame and the white space behind it included.
  std::size_t begin = 0, end = 0;
};

/// The blocks of thinking in bytes [begin, end) of `text`, in order. One that was opened right
/// before `begin` (some templates open it when an answer is asked for) counts from `begin` on; one
/// that is not closed ends at `end`.
std::vector<ThinkingBlock> thinking_in(std::string_view text, std::size_t begin, std::size_t end);

/// What a content says behind the last of its thoughts, without white space around it.
std::string_view behind_thinking(std::string_view content);

/// Whether `text` begins with the opening or the end of a block.
bool begins_with_thinking_tag(std::string_view text);

/// The thought within the frame of a block, which is all of `text`.
std::string_view thought_in(std::string_view text);

/// Whether the assistant's message thinks by itself: in a key of its own or in its content. If not,
/// thinking in its answer was put there by the template, and is empty.
bool has_thinking(const Message& message);

}  // namespace inlay
