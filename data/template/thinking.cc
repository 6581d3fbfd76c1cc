// SPDX-License-Identifier: Apache-2.0
#include "data/template/thinking.h"

#include <algorithm>

#include "data/template/characters.h"

namespace inlay {
namespace {

using jinja::Side;
using jinja::strip;

struct Frame {
  std::string_view open;
  std::string_view close;
  /// Behind the end, where the answer goes on as if it were asked for again. Such a frame's end is
  /// that of any turn, too.
  std::string_view after = "";
};
constexpr Frame kFrames[] = {
    {"<think>", "</think>"},  // most families
    {"<thinking>", "</thinking>"},
    {"<thought>", "</thought>"},  // EXAONE Deep
    {"<reasoning>", "</reasoning>"},
    {"<seed:think>", "</seed:think>"},                                    // Seed-OSS
    {"[THINK]", "[/THINK]"},                                              // Mistral
    {"<|START_THINKING|>", "<|END_THINKING|>"},                           // Cohere
    {"<|channel>thought", "<channel|>"},                                  // Gemma 4
    {"<|channel|>analysis<|message|>", "<|end|>", "<|start|>assistant"},  // gpt-oss
};

std::size_t behind_white_space(std::string_view text, std::size_t at) {
  while (at < text.size() && std::string_view(" \t\r\n").find(text[at]) != std::string_view::npos) {
    ++at;
  }
  return at;
}

/// Where the block ends whose opening ends at `from`.
std::size_t end_of_block(std::string_view text, const Frame& frame, std::size_t from) {
  const std::size_t close = text.find(frame.close, from);
  if (close == std::string_view::npos) {
    return text.size();
  }
  std::size_t end = close + frame.close.size();
  if (!frame.after.empty() && text.substr(end).starts_with(frame.after)) {
    end += frame.after.size();
  }
  return behind_white_space(text, end);
}

}  // namespace

std::vector<ThinkingBlock> thinking_in(std::string_view text, std::size_t begin, std::size_t end) {
  std::vector<ThinkingBlock> blocks;
  const std::string_view answer = text.substr(0, end);
  const std::string_view prompt = strip(text.substr(0, begin), Side::kRight);
  for (const Frame& frame : kFrames) {
    std::size_t from = begin;
    if (prompt.ends_with(frame.open)) {
      from = end_of_block(answer, frame, begin);
      blocks.push_back({begin, from});
    }
    for (std::size_t open = answer.find(frame.open, from); open != std::string_view::npos;
         open = answer.find(frame.open, from)) {
      from = end_of_block(answer, frame, open + frame.open.size());
      blocks.push_back({open, from});
    }
  }
  std::sort(blocks.begin(), blocks.end(),
            [](const ThinkingBlock& a, const ThinkingBlock& b) { return a.begin < b.begin; });
  // A frame spelt out within another's thought is part of that.
  std::vector<ThinkingBlock> apart;
  for (const ThinkingBlock& block : blocks) {
    if (apart.empty() || block.begin >= apart.back().end) {
      apart.push_back(block);
    }
  }
  return apart;
}

std::string_view behind_thinking(std::string_view content) {
  std::size_t from = 0;
  for (const Frame& frame : kFrames) {
    const std::size_t close = content.rfind(frame.close);
    if (close != std::string_view::npos && frame.after.empty()) {
      from = std::max(from, close + frame.close.size());
    }
  }
  return strip(content.substr(from));
}

bool begins_with_thinking_tag(std::string_view text) {
  return std::any_of(std::begin(kFrames), std::end(kFrames), [&](const Frame& frame) {
    return text.starts_with(frame.open) || text.starts_with(frame.close);
  });
}

std::string_view thought_in(std::string_view text) {
  for (const Frame& frame : kFrames) {
    if (text.starts_with(frame.open)) {
      const std::string_view inner = text.substr(frame.open.size());
      return strip(inner.substr(0, inner.find(frame.close)));
    }
  }
  return strip(text);
}

bool has_thinking(const Message& message) {
  if (!strip(message.reasoning()).empty()) {
    return true;
  }
  const std::string content = message.text();
  return std::any_of(std::begin(kFrames), std::end(kFrames), [&](const Frame& frame) {
    return content.find(frame.open) != std::string::npos ||
           (frame.after.empty() && content.find(frame.close) != std::string::npos);
  });
}

}  // namespace inlay
