// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <iterator>

#include "core/error.h"
#include "data/template/characters.h"
#include "data/template/chat_template.h"
#include "data/template/thinking.h"

/// The place of an answer in a conversation whose beginnings the template writes differently from
/// how the whole begins. Reasoning models do: the thoughts of earlier answers are left out, an empty
/// thought is put before the last one, the last turn ends by another marker.
///
/// Beginnings of the conversation are still what tells where an answer begins and ends, but they are
/// compared with the whole only around it: a content is replaced by a word of our own, the probe,
/// in both, and the texts behind the probe are laid side by side.
///
///   begin   The message before the answer holds the probe. Behind it, the conversation up to there
///           with the generation prompt gives what the model is given; the whole continues with the
///           answer where the two part.
///
///             asked  …PROBE<|im_end|>\n<|im_start|>assistant\n
///             whole  …PROBE<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>user\n…
///
///           A prompt that opens a thought ("<think>\n", or an empty one) which is not so in the
///           whole parts from it earlier: the answer then begins where that thought does. No other
///           difference is accepted.
///
///   end     The answer holds the probe. Behind it, the conversation up to and with the answer ends
///           with the end of the turn, and the whole has the same there, or, where only the last
///           turn ends by another marker (gpt-oss), a marker of its own in its place.
///
///             through …PROBE<|im_end|>\n
///             whole   …PROBE<|im_end|>\n<|im_start|>user\nAnd now?…
///
///           Where the answer calls tools, it is the last call that holds the probe.
///
/// That the probe changed nothing else is checked: from the place found on, the whole must go on as
/// the text with the probe does.
namespace inlay {
namespace {

/// No template looks for it, and none changes letters.
constexpr std::string_view kProbe = "XanswerprobeX";

std::size_t common_length(std::string_view a, std::string_view b) {
  const std::size_t shorter = std::min(a.size(), b.size());
  return static_cast<std::size_t>(std::distance(
      a.begin(),
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(shorter), b.begin()).first));
}

/// `at`, or the start of the tag that it stands in: "<|im_e" is no place to part.
std::size_t start_of_tag(std::string_view text, std::size_t at) {
  const std::size_t open = text.substr(0, at).find_last_of("<[");
  const bool inside =
      open != std::string_view::npos &&
      text.substr(open, at - open).find_first_of(">] \n\t") == std::string_view::npos;
  return inside ? open : at;
}

/// Where the thought begins that the text has at `at`; nothing where it has none there.
std::optional<std::size_t> start_of_thinking(std::string_view text, std::size_t at) {
  for (const ThinkingBlock& block : thinking_in(text, 0, text.size())) {
    if (block.begin <= at && at <= block.end) {
      return block.begin;
    }
  }
  return begins_with_thinking_tag(text.substr(at)) ? std::optional(at) : std::nullopt;
}

/// The length of the tag that `text` begins with: "<|end|>", "</s>", "[/INST]"; 0 for none.
std::size_t tag_length(std::string_view text) {
  if (text.empty() || (text[0] != '<' && text[0] != '[')) {
    return 0;
  }
  const std::size_t close = text.find(text[0] == '<' ? '>' : ']');
  const bool tag = close != std::string_view::npos &&
                   text.substr(0, close).find_first_of(" \n\t") == std::string_view::npos;
  return tag ? close + 1 : 0;
}

/// How much of `turn`, the text behind an answer's probe, ends the turn where the question for
/// another answer stands behind it, as it stands at the end of `prompt`: what is only in the former,
/// and the tag, or the white space, that ends messages; nothing for neither.
std::optional<std::size_t> length_before_question(std::string_view turn, std::string_view prompt) {
  const auto parting = std::mismatch(turn.rbegin(), turn.rend(), prompt.rbegin(), prompt.rend());
  const std::string_view alike = turn.substr(static_cast<std::size_t>(turn.rend() - parting.first));
  const std::size_t tag = tag_length(alike);
  const std::size_t blanks = alike.size() - jinja::strip(alike, jinja::Side::kLeft).size();
  const std::size_t marker = tag > 0 ? tag : blanks;
  return marker > 0 ? std::optional(turn.size() - alike.size() + marker) : std::nullopt;
}

/// How much of `whole`, the text behind a probe, belongs to the turn that `through` ends with.
std::optional<std::size_t> length_of_turn(std::string_view through, std::string_view whole,
                                          std::string_view eos) {
  if (whole.starts_with(through)) {
    return through.size();
  }
  if (!eos.empty() && through.ends_with(eos)) {
    const std::string_view unclosed = through.substr(0, through.size() - eos.size());
    // It closed the conversation and not the turn, whose own marker is before it.
    if (!jinja::strip(unclosed).empty() && whole.starts_with(unclosed)) {
      return unclosed.size();
    }
  }
  const std::size_t parting = start_of_tag(through, common_length(through, whole));
  const std::string_view last = jinja::strip(through.substr(parting), jinja::Side::kRight);
  const std::size_t marker = tag_length(whole.substr(parting));
  if (marker > 0 && !last.empty() && tag_length(last) == last.size()) {
    return parting + marker;
  }
  return std::nullopt;
}

/// The place in `whole` of `at` in `behind`, the text behind a probe; nothing where the two do not
/// go on alike from there.
std::optional<std::size_t> place_in(std::string_view whole, std::string_view behind,
                                    std::size_t at) {
  const std::string_view rest = behind.substr(at);
  return whole.ends_with(rest) ? std::optional(whole.size() - rest.size()) : std::nullopt;
}

/// Rule 1 of chat_template.h: the end of a marker, without white space behind it.
std::size_t without_white_space(std::string_view turn) {
  const std::size_t kept = jinja::strip(turn, jinja::Side::kRight).size();
  return kept > 0 ? kept : turn.size();
}

/// Where a message holds the probe: in place of its content, or of what its last call is made with.
enum class Holder { kContent, kCall };

/// The text behind a probe in message `at`; nothing where the template refuses it, or does not
/// write it once.
template <class Render>
std::optional<std::string> behind_probe(std::span<const Message> messages, i64 at, Holder holder,
                                        const Render& render) {
  std::vector<Message> probed(messages.begin(), messages.end());
  if (holder == Holder::kContent) {
    probed[at] = probed[at].with_content(kProbe);
  } else if (const auto called = probed[at].with_call_argument(kProbe)) {
    probed[at] = *called;
  } else {
    return std::nullopt;
  }
  std::string text;
  try {
    text = render(probed);
  } catch (const DataError&) {
    return std::nullopt;
  }
  const std::size_t found = text.find(kProbe);
  if (found == std::string::npos || text.find(kProbe, found + 1) != std::string::npos) {
    return std::nullopt;
  }
  return text.substr(found + kProbe.size());
}

}  // namespace

std::optional<AnswerSpan> ChatTemplate::rewritten_span(std::span<const Message> messages,
                                                       i64 answer, const std::string& whole,
                                                       const ChatOptions& options) const {
  const auto begin = rewritten_begin(messages, answer, whole, options);
  const auto end = rewritten_end(messages, answer, whole, options);
  if (!begin || !end || *begin >= *end) {
    return std::nullopt;
  }
  const std::string_view written = std::string_view(whole).substr(*begin, *end - *begin);
  // Calls are written in place of the content by some templates.
  const std::string content = messages[answer].text();
  const std::string called = messages[answer].last_call_name();
  if (written.find(called.empty() ? behind_thinking(content) : std::string_view(called)) ==
      std::string_view::npos) {
    return std::nullopt;
  }
  // Some templates write what a tool said within the answer that called it.
  if (answer + 1 < static_cast<i64>(messages.size())) {
    const auto next =
        behind_probe(messages, answer + 1, Holder::kContent,
                     [&](const std::vector<Message>& list) { return render(list, options); });
    if (next && whole.size() - std::min(next->size(), whole.size()) < *end) {
      return std::nullopt;
    }
  }
  return AnswerSpan{answer, *begin, *end};
}

std::optional<std::size_t> ChatTemplate::rewritten_begin(std::span<const Message> messages,
                                                         i64 answer, const std::string& whole,
                                                         const ChatOptions& options) const {
  ChatOptions asking = options;
  asking.add_generation_prompt = true;
  const auto plainly = [&](const std::vector<Message>& list) { return render(list, options); };
  const auto to_ask = [&](const std::vector<Message>& list) { return render(list, asking); };
  // A message or two may be written without their content; more is another kind of template.
  constexpr i64 kBack = 3;
  for (i64 at = answer - 1; at >= std::max<i64>(0, answer - kBack); --at) {
    const auto behind = behind_probe(messages, at, Holder::kContent, plainly);
    const auto asked = behind_probe(messages.first(static_cast<std::size_t>(answer)), at,
                                    Holder::kContent, to_ask);
    if (!behind || !asked) {
      continue;
    }
    const auto parting =
        behind->starts_with(*asked)
            ? std::optional(asked->size())
            : start_of_thinking(*asked, start_of_tag(*asked, common_length(*asked, *behind)));
    if (parting) {
      return place_in(whole, *behind, *parting);
    }
  }
  return std::nullopt;
}

std::optional<std::size_t> ChatTemplate::rewritten_end(std::span<const Message> messages,
                                                       i64 answer, const std::string& whole,
                                                       const ChatOptions& options) const {
  const auto plainly = [&](const std::vector<Message>& list) { return render(list, options); };
  const auto through = messages.first(static_cast<std::size_t>(answer) + 1);
  ChatOptions asking = options;
  asking.add_generation_prompt = true;
  const auto before = messages.first(static_cast<std::size_t>(answer));
  const bool closed = through.size() == messages.size() && whole.ends_with(token("eos_token")) &&
                      closes_by_eos(before, options);
  const std::string prompt = render(before, asking);
  const bool asks = asks_always(before, prompt, render(through, options), options);
  // A call stands behind the content where there are both.
  for (const Holder holder : {Holder::kCall, Holder::kContent}) {
    const auto behind = behind_probe(messages, answer, holder, plainly);
    const auto turn = behind_probe(through, answer, holder, plainly);
    if (!behind || !turn) {
      continue;
    }
    auto length = asks ? length_before_question(*turn, prompt)
                       : length_of_turn(*turn, *behind, token("eos_token"));
    if (length && closed) {
      *length -= token("eos_token").size();
    }
    if (length) {
      return place_in(whole, *behind,
                      without_white_space(std::string_view(*behind).substr(0, *length)));
    }
  }
  return std::nullopt;
}

}  // namespace inlay
