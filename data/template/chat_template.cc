// SPDX-License-Identifier: Apache-2.0
#include "data/template/chat_template.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "data/template/characters.h"

namespace inlay {
namespace {

using jinja::Dict;
using jinja::Kind;
using jinja::Side;
using jinja::Value;

/// Enough of both texts to see what a template did differently.
constexpr std::size_t kShown = 40;

jinja::RenderOptions render_options(const ChatOptions& options) {
  return {.now = options.now, .limits = {}};
}

/// Fails unless `text` begins with `beginning`; `whose` names the beginning.
void check_begins(const JinjaTemplate& used, i64 answer, std::string_view text,
                  std::string_view beginning, std::string_view whose) {
  if (text.starts_with(beginning)) {
    return;
  }
  const std::size_t common = std::min(text.size(), beginning.size());
  const auto parting = static_cast<std::size_t>(
      std::mismatch(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(common),
                    beginning.begin())
          .first -
      text.begin());
  // Back to the start of a character, for the message.
  std::size_t shown = parting;
  while (shown > 0 && shown < text.size() && (text[shown] & 0xC0) == 0x80) {
    --shown;
  }
  throw DataError(str(used.name(), ": the answer of message ", answer, " has no fixed place: ",
                      whose, " is not how the conversation begins; from byte ", parting,
                      " on it reads \"", printable(beginning.substr(shown), kShown),
                      "\", the conversation \"", printable(text.substr(shown), kShown),
                      "\". The template changes earlier turns; {% generation %} blocks in it would "
                      "mark the answers"));
}

/// The message at which a loop around a generation block was, or -1. It stands at or behind
/// `first`, the owner of the block before.
i64 owner_of_block(const jinja::GeneratedRange& block, std::span<const Message> messages,
                   i64 first) {
  for (const Value& item : block.loop_items) {
    for (i64 i = first; i < static_cast<i64>(messages.size()); ++i) {
      if (item.same_object(messages[i].value())) {
        return i;
      }
    }
  }
  return -1;
}

/// Which message each generation block belongs to. A template that walks over something other than
/// the messages themselves must print one block for each answer.
std::vector<i64> owners_of_blocks(const JinjaTemplate& used,
                                  const std::vector<jinja::GeneratedRange>& blocks,
                                  std::span<const Message> messages) {
  std::vector<i64> owners;
  for (const jinja::GeneratedRange& block : blocks) {
    owners.push_back(owner_of_block(block, messages, owners.empty() ? 0 : owners.back()));
    if (owners.back() < 0) {
      break;
    }
  }
  if (owners.empty() || owners.back() >= 0) {
    return owners;
  }
  // The blocks are then matched with the answers in order, if there are as many.
  owners.clear();
  for (i64 i = 0; i < static_cast<i64>(messages.size()); ++i) {
    if (messages[i].is_assistant()) {
      owners.push_back(i);
    }
  }
  if (owners.size() != blocks.size()) {
    throw DataError(str(used.name(), ": ", blocks.size(), " generation blocks were printed for ",
                        owners.size(),
                        " assistant messages, and which belongs to which cannot be told"));
  }
  return owners;
}

/// Rule 1: where the end-of-turn marker ends in what was written for an answer, white space behind
/// it left out; 0 when nothing but white space follows the content.
std::size_t end_of_marker(std::string_view written, std::string_view content) {
  const std::string_view kept = jinja::strip(written, Side::kRight);
  const std::string_view wanted = jinja::strip(content);
  const std::size_t at = wanted.empty() ? std::string_view::npos : kept.find(wanted);
  return at != std::string_view::npos && at + wanted.size() == kept.size() ? 0 : kept.size();
}

}  // namespace

ChatTemplate::ChatTemplate(Parsed main, SpecialTokens tokens)
    : main_(std::move(main)), tokens_(std::move(tokens)) {}

ChatTemplate ChatTemplate::from_text(const std::string& text, SpecialTokens tokens,
                                     std::string name) {
  return {{JinjaTemplate::parse(text, std::move(name)), ""}, std::move(tokens)};
}

ChatTemplate::Parsed ChatTemplate::parsed(const std::string& text, const std::string& name) {
  try {
    return {JinjaTemplate::parse(text, name), ""};
  } catch (const DataError& error) {
    return {std::nullopt, error.what()};
  }
}

ChatTemplate ChatTemplate::from_named(const NamedTexts& texts, SpecialTokens tokens,
                                      const std::string& name) {
  const auto of = [&](std::string_view wanted) -> std::optional<Parsed> {
    const auto found = texts.find(wanted);
    // The only template of a model needs no name in its errors.
    return found == texts.end()
               ? std::nullopt
               : std::optional(parsed(found->second,
                                      texts.size() == 1 ? name : str(name, " (", wanted, ")")));
  };
  std::string names;
  for (const auto& [other, text] : texts) {
    names += str(names.empty() ? "\"" : ", \"", printable(other), '"');
  }
  ChatTemplate result(
      of("default").value_or(
          Parsed{std::nullopt, str(name, ": no chat template is named \"default\" (there are ",
                                   names, "); name the one to use")}),
      std::move(tokens));
  result.tool_use_ = of("tool_use");
  return result;
}

const JinjaTemplate& ChatTemplate::chosen(const ChatOptions& options) const {
  const bool with_tools = tool_use_.has_value() && !options.tools.is(Kind::kNone);
  const Parsed& used = with_tools ? *tool_use_ : main_;
  if (!used.jinja) {
    throw DataError(used.problem);
  }
  return *used.jinja;
}

bool ChatTemplate::reads_date() const {
  const auto reads = [](const Parsed& one) { return one.jinja && one.jinja->reads_date(); };
  return reads(main_) || (tool_use_ && reads(*tool_use_));
}

Value ChatTemplate::context(std::span<const Message> messages, const ChatOptions& options) const {
  std::vector<Value> list;
  list.reserve(messages.size());
  for (const Message& message : messages) {
    list.push_back(message.value());
  }
  Dict context;
  for (const auto& [name, text] : tokens_) {
    context.set(name, Value(text));
  }
  // After the tokens, so that none can take the place of these; before the variables, which may.
  context.set("messages", Value::list(std::move(list)));
  context.set("tools", options.tools);
  context.set("documents", options.documents);
  context.set("add_generation_prompt", Value(options.add_generation_prompt));
  if (options.variables.is(Kind::kDict)) {
    for (const auto& [name, value] : options.variables.as_dict().entries()) {
      context.set(name, value);
    }
  }
  return Value(std::move(context));
}

std::string_view ChatTemplate::token(std::string_view name) const {
  const auto found = tokens_.find(name);
  return found == tokens_.end() ? std::string_view() : std::string_view(found->second);
}

std::string ChatTemplate::render(std::span<const Message> messages,
                                 const ChatOptions& options) const {
  if (options.continue_final_message) {
    return render_to_continue(messages, options);
  }
  return chosen(options).render(context(messages, options), render_options(options));
}

/// Transformers' way: a mark behind the last content, and the text up to it.
std::string ChatTemplate::render_to_continue(std::span<const Message> messages,
                                             const ChatOptions& options) const {
  INLAY_ASSERT(!messages.empty() && !options.add_generation_prompt);
  // Its blank tells whether the template trims contents.
  constexpr std::string_view kMark = "XcontinueshereX ";
  std::vector<Message> marked(messages.begin(), messages.end());
  marked.back() = marked.back().with_text_appended(kMark);
  ChatOptions whole = options;
  whole.continue_final_message = false;
  std::string text = render(marked, whole);
  const std::size_t at = text.rfind(jinja::strip(kMark));
  // The last part of a content of several.
  const std::string_view said = jinja::strip(messages.back().last_text());
  if (at == std::string::npos || text.find(said) == std::string::npos) {
    throw DataError(str(chosen(options).name(),
                        ": the content of the last message is not in the text as it stands, so "
                        "that it has no end to continue from"));
  }
  const bool kept = std::string_view(text).substr(at).starts_with(kMark);
  text.resize(at);
  return kept ? text : std::string(jinja::strip(text, Side::kRight));
}

RenderedChat ChatTemplate::render_with_spans(std::span<const Message> messages,
                                             const ChatOptions& options) const {
  INLAY_ASSERT(!options.add_generation_prompt);
  return chosen(options).has_generation() ? with_generation_blocks(messages, options)
                                          : with_derived_spans(messages, options);
}

RenderedChat ChatTemplate::with_generation_blocks(std::span<const Message> messages,
                                                  const ChatOptions& options) const {
  const JinjaTemplate& used = chosen(options);
  jinja::Rendered rendered =
      used.render_with_generations(context(messages, options), render_options(options));
  const std::vector<i64> owners = owners_of_blocks(used, rendered.generations, messages);
  RenderedChat chat{std::move(rendered.text), {}};
  for (std::size_t i = 0; i < owners.size(); ++i) {
    chat.answers.push_back({owners[i], rendered.generations[i].begin, rendered.generations[i].end});
  }
  return chat;
}

RenderedChat ChatTemplate::with_derived_spans(std::span<const Message> messages,
                                              const ChatOptions& options) const {
  RenderedChat chat{render(messages, options), {}};
  for (i64 i = 0; i < static_cast<i64>(messages.size()); ++i) {
    if (messages[i].is_assistant()) {
      const auto before = messages.subspan(0, i);
      // Rendering what is before an answer needs a question in it (opening_answer.cc tells what to
      // do else).
      const bool asked = std::any_of(before.begin(), before.end(),
                                     [](const Message& m) { return m.role() == "user"; });
      chat.answers.push_back(asked ? place_of(messages, i, chat.text, options)
                                   : opening_span(messages, i, chat.text, options));
      const std::size_t count = chat.answers.size();
      if (count > 1 && chat.answers[count - 1].begin < chat.answers[count - 2].end) {
        throw DataError(str(chosen(options).name(), ": the answer of message ", i,
                            " seems to begin within the one before it: its place in the "
                            "conversation cannot be told"));
      }
    }
  }
  return chat;
}

AnswerSpan ChatTemplate::place_of(std::span<const Message> messages, i64 answer,
                                  const std::string& whole, const ChatOptions& options) const {
  try {
    return derived_span(messages, answer, whole, options);
  } catch (const DataError&) {
    const auto span = rewritten_span(messages, answer, whole, options);
    if (!span) {
      throw;  // it says where the two texts part
    }
    return *span;
  }
}

AnswerSpan ChatTemplate::derived_span(std::span<const Message> messages, i64 answer,
                                      const std::string& whole, const ChatOptions& options) const {
  ChatOptions asking = options;
  asking.add_generation_prompt = true;
  const auto before = messages.subspan(0, answer);
  const bool last = answer + 1 == static_cast<i64>(messages.size());
  const std::string prompt = render(before, asking);
  // The last answer's `through` is the whole conversation: a rendering less.
  const std::string through = last ? whole : render(messages.subspan(0, answer + 1), options);
  const JinjaTemplate& used = chosen(options);
  check_begins(used, answer, through, prompt,
               str("the text of the ", answer, " messages before it with the generation prompt"));

  if (asks_always(before, prompt, through, options)) {
    throw DataError(str(used.name(), ": the answer of message ", answer,
                        " has no fixed place: the template asks for another at the end of every "
                        "conversation"));
  }

  const std::string_view eos = token("eos_token");
  std::size_t end = through.size();
  if (through.ends_with(eos) && closes_by_eos(before, options)) {
    end -= eos.size();
  }
  check_begins(used, answer, whole, std::string_view(through).substr(0, end),
               str("the text of the first ", answer + 1, " messages"));

  // Without the eos nothing may be left: a template whose only marker it is.
  const std::size_t length = end > prompt.size() ? end - prompt.size() : 0;
  const std::string_view written = std::string_view(through).substr(prompt.size(), length);
  if (const std::size_t marked = end_of_marker(written, messages[answer].text()); marked > 0) {
    return {answer, prompt.size(), prompt.size() + marked};
  }
  return {answer, prompt.size(), last ? through.size() : prompt.size() + length};
}

/// Rule 3: whether the template asks for an answer though not told to, behind the answer, too.
bool ChatTemplate::asks_always(std::span<const Message> messages, std::string_view prompt,
                               std::string_view through, const ChatOptions& options) const {
  const auto parting =
      std::mismatch(prompt.rbegin(), prompt.rend(), through.rbegin(), through.rend());
  const auto alike = static_cast<std::size_t>(parting.first - prompt.rbegin());
  // Nearly all templates end here: the start of an answer and the end of one have nothing in common.
  return !messages.empty() && !jinja::strip(prompt.substr(prompt.size() - alike)).empty() &&
         render(messages, options) == prompt;
}

/// Rule 2: whether eos_token closes a conversation and no turn. That shows before an answer, where
/// the same messages are rendered closed and asking.
bool ChatTemplate::closes_by_eos(std::span<const Message> messages,
                                 const ChatOptions& options) const {
  const std::string_view eos = token("eos_token");
  if (eos.empty() || messages.empty()) {
    return false;
  }
  const std::string closed = render(messages, options);
  if (!closed.ends_with(eos)) {
    return false;
  }
  ChatOptions asking = options;
  asking.add_generation_prompt = true;
  const std::string prompt = render(messages, asking);
  return !prompt.starts_with(closed) &&
         prompt.starts_with(std::string_view(closed).substr(0, closed.size() - eos.size()));
}

}  // namespace inlay
