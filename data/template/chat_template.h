// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "data/template/civil_time.h"
#include "data/template/jinja.h"
#include "data/template/message.h"
#include "data/template/value.h"

/// A model's chat template: conversations to text, and the places of what is to be learnt in it.
///
/// What an answer is
///
/// Training needs, for each assistant message, the bytes the model would have had to write: its
/// content and the marker that ends its turn, and nothing of what the template writes around them.
/// A template may say so itself, with {% generation %} blocks; few do. For the others the place is
/// derived by rendering beginnings of the conversation, which shows where the template's own words
/// end:
///
///   prompt  = messages before the answer, rendered with the generation prompt
///   through = messages up to and with the answer, rendered without
///   whole   = the conversation
///
///   whole <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n<|im_start|>…
///   prompt   <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n
///   through  <|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\nHello.<|im_end|>\n
///   answer                                                         ^^^^^^^^^^^^^^^^
///
/// This is sound only if whole begins with through and through with prompt, byte for byte, which is
/// checked for every answer. Templates that write earlier turns otherwise than they were (without
/// their thoughts, with the tools at the last question …) break it; there the place is found from
/// what stands around the answer, see rewritten_answer.cc. Where that gives none either, the
/// conversation is refused: a mask is never guessed.
///
/// Where the answer ends, four rules:
///   1. White space behind the end-of-turn marker ("\n" after <|im_end|>) is the template's, and
///      not part of the answer: generation stops at the marker. When nothing but white space
///      follows the content, it is the marker itself and stays.
///   2. Some templates close the whole conversation with eos_token when no generation prompt is
///      asked for (Phi-3). It is recognised by the prompt: closing the messages before the answer
///      adds it, asking for the answer does not. It belongs to no answer, except to the last one of
///      a template whose turns have no marker of their own: something must teach the model to stop.
///   3. A few ask for an answer at the end of every conversation (Nemotron Mini), which is seen in
///      the same way and belongs to no answer: the turn then ends with the tag behind its content,
///      or with the white space where there is none.
///   4. Everything else between prompt and end is the answer: also a blank before the content
///      (Llama 2) or tool calls.
///
/// An answer before the first question (a greeting, role play) may have nothing before it that a
/// template could render: many look at messages[0], some want a question. The place of such an
/// answer is found from within, see opening_answer.cc.
///
/// Templates that trim the content, add a default system message (SmolLM2, Qwen 2.5) or a bos token
/// need no care here, since only rendered texts are compared.
namespace inlay {

/// Bytes [begin, end) of the text that message number `message` has to teach.
struct AnswerSpan {
  i64 message = 0;
  std::size_t begin = 0, end = 0;
};

struct RenderedChat {
  std::string text;
  std::vector<AnswerSpan> answers;  // in order, apart from each other
};

struct ChatOptions {
  /// Ends the text with the start of an answer, for generating one. For `render` only.
  bool add_generation_prompt = false;
  /// Ends the text where the content of the last message ends, which is then to be continued. For
  /// `render` only, and not with a generation prompt.
  bool continue_final_message = false;
  /// A list of JSON schemas, or none.
  jinja::Value tools;
  /// A list of texts to answer from, each a dict, or none.
  jinja::Value documents;
  /// Further variables, as a dict, or none. They win over special tokens of the same name.
  jinja::Value variables;
  /// For templates that print the date; those that do fail without it.
  std::optional<CivilTime> now;
};

/// "bos_token", "eos_token" … as tokenizer_config.json names them, with their text.
using SpecialTokens = std::map<std::string, std::string, std::less<>>;

/// Templates by name: "default", "tool_use", "rag" …
using NamedTexts = std::map<std::string, std::string, std::less<>>;

class ChatTemplate {
 public:
  /// From the text of a template, as chat_template.jinja and the metadata of GGUF files have it.
  /// Throws DataError, opened by `name`, when it does not parse.
  static ChatTemplate from_text(const std::string& text, SpecialTokens tokens, std::string name);

  /// A model's templates by name, not empty. Rendered is, as in Transformers, "tool_use" for
  /// conversations with tools (even an empty list of them) where it exists, else "default". A
  /// template that does not parse is an error when it is to be rendered, and not before.
  static ChatTemplate from_named(const NamedTexts& texts, SpecialTokens tokens,
                                 const std::string& name);

  /// Throws DataError when the template fails or refuses the conversation.
  std::string render(std::span<const Message> messages, const ChatOptions& options = {}) const;

  /// The conversation with the places of its answers. Throws DataError also when a place cannot be
  /// told (see above). Without generation blocks it renders two to eight times for each answer, so
  /// its time grows with the square of their number.
  RenderedChat render_with_spans(std::span<const Message> messages,
                                 const ChatOptions& options = {}) const;

  /// Whether one of the templates names strftime_now, so that its text may be another every day.
  bool reads_date() const;

 private:
  /// A template, or why there is none.
  struct Parsed {
    std::optional<JinjaTemplate> jinja;
    std::string problem;
  };
  static Parsed parsed(const std::string& text, const std::string& name);

  ChatTemplate(Parsed main, SpecialTokens tokens);
  const JinjaTemplate& chosen(const ChatOptions& options) const;
  jinja::Value context(std::span<const Message> messages, const ChatOptions& options) const;
  std::string_view token(std::string_view name) const;

  RenderedChat with_generation_blocks(std::span<const Message> messages,
                                      const ChatOptions& options) const;
  RenderedChat with_derived_spans(std::span<const Message> messages,
                                  const ChatOptions& options) const;
  AnswerSpan derived_span(std::span<const Message> messages, i64 answer, const std::string& whole,
                          const ChatOptions& options) const;
  AnswerSpan place_of(std::span<const Message> messages, i64 answer, const std::string& whole,
                      const ChatOptions& options) const;
  std::string render_to_continue(std::span<const Message> messages,
                                 const ChatOptions& options) const;

  bool asks_always(std::span<const Message> messages, std::string_view prompt,
                   std::string_view through, const ChatOptions& options) const;
  bool closes_by_eos(std::span<const Message> messages, const ChatOptions& options) const;

  /// rewritten_answer.cc: nothing where that way leads to no place either.
  std::optional<AnswerSpan> rewritten_span(std::span<const Message> messages, i64 answer,
                                           const std::string& whole,
                                           const ChatOptions& options) const;
  std::optional<std::size_t> rewritten_begin(std::span<const Message> messages, i64 answer,
                                             const std::string& whole,
                                             const ChatOptions& options) const;
  std::optional<std::size_t> rewritten_end(std::span<const Message> messages, i64 answer,
                                           const std::string& whole,
                                           const ChatOptions& options) const;

  AnswerSpan opening_span(std::span<const Message> messages, i64 answer, const std::string& whole,
                          const ChatOptions& options) const;
  std::optional<AnswerSpan> span_from_within(std::span<const Message> messages, i64 answer,
                                             const std::string& whole,
                                             const ChatOptions& options) const;
  std::string generation_prompt(std::span<const Message> messages,
                                const ChatOptions& options) const;
  std::optional<std::size_t> end_of_turn(std::span<const Message> messages, i64 answer,
                                         const std::string& whole, std::size_t content_end,
                                         const ChatOptions& options) const;

  Parsed main_;
  std::optional<Parsed> tool_use_;
  SpecialTokens tokens_;
};

}  // namespace inlay
