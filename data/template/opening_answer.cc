// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>

#include "core/error.h"
#include "data/template/characters.h"
#include "data/template/chat_template.h"

/// The place of an answer that stands before the first question. The messages before it cannot be
/// relied on to tell: there are none, or none that the template takes for a conversation, and of
/// those a template may write nothing where it looks at messages, and no start of an answer either.
///
/// Where its content stands is seen by writing another in its place, twice; what both texts have in
/// common is the template's. Before the content stands the start of an answer, which is what asking
/// for one adds at the end of the conversation; behind it the end of a turn, which is as far as the
/// messages up to the answer go, if those can be rendered, else what stands behind the last answer,
/// or behind one to the last question.
///
///   whole  <|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n<|im_…
///   first  <|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>assistant\nX…X<|im_end|>\n<|im_st…
///   second <|im_start|>system\nBe kind.<|im_end|>\n<|im_start|>assistant\nY…Y<|im_end|>\n<|im_st…
///   asking                                         <|im_start|>assistant\n
///   answer                                                               ^^^^^^^^^^^^^^^^
namespace inlay {
namespace {

// They begin and end differently, and no template changes letters.
constexpr std::string_view kFirst = "XopeningX";
constexpr std::string_view kSecond = "YopeningY";

std::vector<Message> with_content(std::span<const Message> messages, i64 at,
                                  std::string_view content) {
  std::vector<Message> changed(messages.begin(), messages.end());
  changed[at] = changed[at].with_content(content);
  return changed;
}

std::size_t common_beginning(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(
      std::distance(a.begin(), std::mismatch(a.begin(), a.end(), b.begin(), b.end()).first));
}

std::size_t common_end(std::string_view a, std::string_view b) {
  return static_cast<std::size_t>(
      std::distance(a.rbegin(), std::mismatch(a.rbegin(), a.rend(), b.rbegin(), b.rend()).first));
}

/// What stands before and behind a content, in bytes.
struct Around {
  std::size_t before = 0;
  std::size_t behind = 0;
};

template <class Render>
std::optional<Around> around_content(std::span<const Message> messages, i64 at,
                                     std::string_view whole, const Render& render) {
  const std::string first = render(with_content(messages, at, kFirst));
  const std::string second = render(with_content(messages, at, kSecond));
  const Around around = {common_beginning(first, second), common_end(first, second)};
  // Written once, and nothing else depends on it: what differs between the two texts is the content
  // alone.
  const bool once = first.size() == around.before + kFirst.size() + around.behind;
  if (!once || whole.size() < around.before + around.behind ||
      !whole.starts_with(std::string_view(first).substr(0, around.before)) ||
      !whole.ends_with(std::string_view(first).substr(first.size() - around.behind))) {
    return std::nullopt;
  }
  return around;
}

}  // namespace

AnswerSpan ChatTemplate::opening_span(std::span<const Message> messages, i64 answer,
                                      const std::string& whole, const ChatOptions& options) const {
  try {
    if (const auto span = span_from_within(messages, answer, whole, options)) {
      return *span;
    }
    return derived_span(messages, answer, whole, options);
  } catch (const DataError&) {
    throw DataError(str(chosen(options).name(), ": the answer of message ", answer,
                        " comes before any question, and where it begins and ends in the "
                        "conversation cannot be told; {% generation %} blocks in the template "
                        "would mark it"));
  }
}

std::optional<AnswerSpan> ChatTemplate::span_from_within(std::span<const Message> messages,
                                                         i64 answer, const std::string& whole,
                                                         const ChatOptions& options) const {
  const auto around =
      around_content(messages, answer, whole,
                     [&](const std::vector<Message>& changed) { return render(changed, options); });
  const std::string asking = generation_prompt(messages, options);
  if (!around || around->before < asking.size()) {
    return std::nullopt;
  }
  // The nearest before the content: a template may put a blank or a thought between the two.
  const std::size_t start = whole.rfind(asking, around->before - asking.size());
  const auto end = end_of_turn(messages, answer, whole, whole.size() - around->behind, options);
  if (start == std::string::npos || !end) {
    return std::nullopt;
  }
  return AnswerSpan{answer, asking.empty() ? around->before : start + asking.size(), *end};
}

/// What asking for an answer adds behind the last question, or behind all where there is none.
std::string ChatTemplate::generation_prompt(std::span<const Message> messages,
                                            const ChatOptions& options) const {
  const auto question = std::find_if(messages.rbegin(), messages.rend(),
                                     [](const Message& m) { return m.role() == "user"; });
  const auto upto = question == messages.rend()
                        ? messages
                        : messages.first(static_cast<std::size_t>(messages.rend() - question));
  ChatOptions asking = options;
  asking.add_generation_prompt = true;
  const std::string asked = render(upto, asking);
  const std::string closed = render(upto, options);
  std::string_view told = closed;
  const std::string_view eos = token("eos_token");
  if (!asked.starts_with(told) && !eos.empty() && told.ends_with(eos)) {
    told.remove_suffix(eos.size());  // rule 2: it closes the conversation
  }
  return asked.starts_with(told) ? asked.substr(told.size()) : "";
}

/// Where the turn ends whose content ends at `content_end`.
std::optional<std::size_t> ChatTemplate::end_of_turn(std::span<const Message> messages, i64 answer,
                                                     const std::string& whole,
                                                     std::size_t content_end,
                                                     const ChatOptions& options) const {
  const auto marker_end = [&](std::size_t turn_end) {
    // Rule 1: white space behind the marker is the template's, unless it is the marker.
    const std::string_view behind =
        std::string_view(whole).substr(content_end, turn_end - content_end);
    const std::size_t kept = jinja::strip(behind, jinja::Side::kRight).size();
    return content_end + (kept > 0 ? kept : behind.size());
  };
  try {
    const std::string through =
        render(messages.first(static_cast<std::size_t>(answer) + 1), options);
    std::string_view turn = through;
    const std::string_view eos = token("eos_token");
    if (!whole.starts_with(turn) && !eos.empty() && turn.ends_with(eos)) {
      turn.remove_suffix(eos.size());
    }
    if (whole.starts_with(turn) && turn.size() >= content_end) {
      return marker_end(turn.size());
    }
  } catch (const DataError&) {
    // The last answer tells.
  }
  std::vector<Message> asked(messages.begin(), messages.end());
  if (!asked.back().is_assistant()) {
    asked.emplace_back("assistant", kFirst);
  }
  const i64 last = static_cast<i64>(asked.size()) - 1;
  const std::string text = render(asked, options);
  const auto around = around_content(asked, last, text, [&](const std::vector<Message>& changed) {
    return render(changed, options);
  });
  const AnswerSpan later = derived_span(asked, last, text, options);
  // Nothing to learn from where the last answer is this one.
  if (last == answer || !around || later.end < text.size() - around->behind) {
    return std::nullopt;
  }
  const std::size_t later_end = text.size() - around->behind;
  const std::string_view marker = std::string_view(text).substr(later_end, later.end - later_end);
  const bool same = std::string_view(whole).substr(content_end).starts_with(marker);
  return same ? std::optional(content_end + marker.size()) : std::nullopt;
}

}  // namespace inlay
