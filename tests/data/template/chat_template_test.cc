// SPDX-License-Identifier: Apache-2.0
#include "data/template/chat_template.h"

#include <gtest/gtest.h>

#include <string>
#include <utility>
#include <vector>

#include "data/template/named_templates.h"
#include "tests/data/template/golden.h"

namespace inlay {
namespace {

using jinja::Value;
using nlohmann::ordered_json;

const ordered_json& chats() {
  static const ordered_json chats_json = golden_json("chats.json");
  return chats_json;
}

std::vector<Message> messages_from(const ordered_json& list) {
  std::vector<Message> messages;
  for (const auto& message : list) {
    messages.push_back(Message::from_json(message, "message"));
  }
  return messages;
}

std::vector<Message> conversation(const std::string& name) {
  return messages_from(chats()["conversations"][name]);
}

SpecialTokens tokens_of(const std::string& name) {
  SpecialTokens tokens;
  if (chats()["special_tokens"].contains(name)) {
    for (const auto& [key, text] : chats()["special_tokens"][name].items()) {
      tokens[key] = text.get<std::string>();
    }
  }
  return tokens;
}

ChatTemplate golden_template(const std::string& name) {
  return ChatTemplate::from_text(golden_text(name + ".jinja"), tokens_of(name), name);
}

ChatOptions options_from(const ordered_json& given) {
  ChatOptions options;
  options.now = CivilTime::parse(chats()["now"].get<std::string>());
  jinja::Dict variables;
  for (const auto& [name, value] : given.items()) {
    if (name == "add_generation_prompt") {
      options.add_generation_prompt = value;
    } else if (name == "tools") {
      options.tools = Value::from_json(chats()["tools"][value.get<std::string>()], "tools");
    } else {
      variables.set(name, Value::from_json(value, "variable"));
    }
  }
  options.variables = Value(std::move(variables));
  return options;
}

void expect_golden_rendering(const ordered_json& entry) {
  const std::string label = entry["template"].get<std::string>() + ", " +
                            entry["conversation"].get<std::string>() + ", " +
                            entry["options"].dump();
  const ChatTemplate chat = golden_template(entry["template"]);
  const std::vector<Message> messages = conversation(entry["conversation"]);
  std::string text;
  const std::string error =
      data_error([&] { text = chat.render(messages, options_from(entry["options"])); });
  if (!entry.contains("error")) {
    EXPECT_EQ(error, "") << label;
    EXPECT_EQ(text, entry["text"].get<std::string>()) << label;
    return;
  }
  EXPECT_NE(error, "") << label << ": gives " << text;
  if (error.find("refuses") != std::string::npos) {  // raise_exception: the same sentence
    EXPECT_NE(error.find(entry["error"].get<std::string>()), std::string::npos) << label;
  }
}

TEST(ChatTemplate, RendersAsTransformersDoes) {
  for (const auto& entry : chats()["cases"]) {
    expect_golden_rendering(entry);
  }
}

/// The same with the places of generation blocks.
void expect_golden_blocks(const ordered_json& entry) {
  const ChatTemplate chat = golden_template(entry["template"]);
  const RenderedChat result =
      chat.render_with_spans(conversation(entry["conversation"]), options_from(entry["options"]));
  EXPECT_EQ(result.text, entry["text"].get<std::string>());
  ordered_json ranges = ordered_json::array();
  for (const AnswerSpan& span : result.answers) {
    ranges.push_back({span.begin, span.end});
  }
  EXPECT_EQ(ranges, entry["generations"]);
}

TEST(ChatTemplate, FindsTheGenerationBlocksThatTransformersFinds) {
  int compared = 0;
  for (const auto& entry : chats()["cases"]) {
    if (entry.contains("generations") && !entry["options"].contains("add_generation_prompt")) {
      expect_golden_blocks(entry);
      ++compared;
    }
  }
  EXPECT_GE(compared, 5);
}

/// The answers as text, each behind the number of its message.
std::vector<std::string> answers_of(const RenderedChat& chat) {
  std::vector<std::string> answers;
  for (const AnswerSpan& span : chat.answers) {
    answers.push_back(std::to_string(span.message) + ":" +
                      chat.text.substr(span.begin, span.end - span.begin));
  }
  return answers;
}

using Strings = std::vector<std::string>;

TEST(ChatTemplate, DerivesAnswersWithTheirEndOfTurn) {
  const std::string blank = "\n  an answer  \n\n";
  const std::vector<std::tuple<std::string, std::string, Strings>> cases = {
      {"chatml", "user", {}},
      {"chatml", "pair", {"1:Four.<|im_end|>"}},
      {"chatml", "system", {"2:Hello.<|im_end|>", "4:So long.<|im_end|>"}},
      {"chatml", "blanks", {"1:" + blank + "<|im_end|>", "3:<|im_end|>"}},
      {"chatml", "two answers", {"1:One.<|im_end|>", "2:Two.<|im_end|>"}},
      {"chatml", "assistant first", {"0:How can I help?<|im_end|>", "2:Hello.<|im_end|>"}},
      {"chatml_generation", "system", {"2:Hello.<|im_end|>", "4:So long.<|im_end|>"}},
      {"smollm2", "pair", {"1:Four.<|im_end|>"}},
      {"smollm2", "system", {"2:Hello.<|im_end|>", "4:So long.<|im_end|>"}},
      {"llama2", "pair", {"1: Four. </s>"}},
      {"llama2", "system", {"2: Hello. </s>", "4: So long. </s>"}},
      {"llama2", "blanks", {"1: an answer </s>", "3:  </s>"}},
      {"llama3", "system", {"2:Hello.<|eot_id|>", "4:So long.<|eot_id|>"}},
      {"llama3", "blanks", {"1:an answer<|eot_id|>", "3:<|eot_id|>"}},
      {"llama3_1_tools", "system", {"2:Hello.<|eot_id|>", "4:So long.<|eot_id|>"}},
      {"llama3_1_tools",
       "tool call",
       {"1:{\"name\": \"get_weather\", \"parameters\": {\"city\": \"Z\u00fcrich\", \"days\": 2, "
        "\"units\": [\"C\", \"\\\"F\\\"\"], \"exact\": true, \"note\": null}}<|eot_id|>",
        "3:Clear skies.<|eot_id|>"}},
      {"mistral", "system", {"2: Hello.</s>", "4: So long.</s>"}},
      {"mistral_tools", "pair", {"1: Four.</s>"}},
      {"zephyr", "system", {"2:Hello.</s>", "4:So long.</s>"}},
      {"gemma", "pair", {"1:Four.<end_of_turn>"}},
      {"gemma3", "system", {"2:Hello.<end_of_turn>", "4:So long.<end_of_turn>"}},
      {"gemma3", "parts", {"2:Three.<end_of_turn>"}},
      {"qwen2_5", "system", {"2:Hello.<|im_end|>", "4:So long.<|im_end|>"}},
      {"qwen2_5",
       "two calls",
       {"2:Looking.\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": "
        "\"Z\u00fcrich\", \"days\": 2, \"units\": [\"C\", \"\\\"F\\\"\"], \"exact\": true, "
        "\"note\": null}}\n</tool_call>\n<tool_call>\n{\"name\": \"get_weather\", \"arguments\": "
        "{\"city\": \"Z\u00fcrich\", \"days\": 2, \"units\": [\"C\", \"\\\"F\\\"\"], \"exact\": "
        "true, \"note\": null}}\n</tool_call><|im_end|>",
        "5:Mixed.<|im_end|>"}},
      // eos_token closes the conversation, not the turn.
      {"phi3", "pair", {"1:Four.<|end|>"}},
      {"phi3", "system", {"2:Hello.<|end|>", "4:So long.<|end|>"}},
      // What stands before the first answer appears only once there is a message.
      {"smollm2", "assistant first", {"0:How can I help?<|im_end|>", "2:Hello.<|im_end|>"}},
      {"qwen2_5", "assistant first", {"0:How can I help?<|im_end|>", "2:Hello.<|im_end|>"}},
      {"llama3", "assistant first", {"0:How can I help?<|eot_id|>", "2:Hello.<|eot_id|>"}},
      {"llama3_1_tools", "assistant first", {"0:How can I help?<|eot_id|>", "2:Hello.<|eot_id|>"}},
      {"phi3", "assistant first", {"0:How can I help?<|end|>", "2:Hello.<|end|>"}},
      {"zephyr", "assistant first", {"0:How can I help?</s>", "2:Hello.</s>"}},
  };
  for (const auto& [name, chat, expected] : cases) {
    const RenderedChat result =
        golden_template(name).render_with_spans(conversation(chat), options_from({}));
    EXPECT_EQ(answers_of(result), expected) << name << ", " << chat;
    EXPECT_EQ(result.text, golden_template(name).render(conversation(chat), options_from({})));
  }
}

TEST(ChatTemplate, DerivesAnswersBesideTools) {
  const ChatOptions options = options_from({{"tools", "weather"}});
  EXPECT_EQ(
      answers_of(golden_template("qwen2_5").render_with_spans(conversation("system"), options)),
      (Strings{"2:Hello.<|im_end|>", "4:So long.<|im_end|>"}));
  EXPECT_EQ(answers_of(
                golden_template("llama3_1_tools").render_with_spans(conversation("pair"), options)),
            (Strings{"1:Four.<|eot_id|>"}));
}

std::string span_error(const std::string& name, const std::string& chat,
                       const ordered_json& options = ordered_json::object()) {
  return data_error(
      [&] { golden_template(name).render_with_spans(conversation(chat), options_from(options)); });
}

TEST(ChatTemplate, FindsAnswersWhereEarlierTurnsAreWrittenOtherwise) {
  // Thoughts of earlier answers are left out, and an empty one is put before the last.
  EXPECT_EQ(answers_of(golden_template("qwen3").render_with_spans(conversation("reasoning"),
                                                                  options_from({}))),
            (Strings{"1:Because.<|im_end|>",
                     "3:<think>\nLet me see.\n</think>\n\nIt just is.<|im_end|>"}));
  // What the model is given to answer without thinking is another text than the conversation has.
  EXPECT_EQ(answers_of(golden_template("qwen3").render_with_spans(
                conversation("reasoning"), options_from({{"enable_thinking", false}}))),
            (Strings{"1:Because.<|im_end|>",
                     "3:<think>\nLet me see.\n</think>\n\nIt just is.<|im_end|>"}));
  // The tools move to the last question.
  EXPECT_EQ(answers_of(golden_template("mistral_tools")
                           .render_with_spans(conversation("system"),
                                              options_from({{"tools", "weather"}}))),
            (Strings{"2: Hello.</s>", "4: So long.</s>"}));
}

/// Both answers of two questions with thoughts and a call, by a template of the text given.
std::vector<std::string> answers_by(const std::string& text, const ordered_json& messages,
                                    const SpecialTokens& tokens = {}) {
  const ChatTemplate chat = ChatTemplate::from_text(text, tokens, "it");
  return answers_of(chat.render_with_spans(messages_from(messages), {}));
}

const ordered_json& thinking_chat() {
  static const ordered_json messages = {
      {{"role", "user"}, {"content", "Why?"}},
      {{"role", "assistant"}, {"content", "So."}, {"reasoning_content", "Hm."}},
      {{"role", "user"}, {"content", "Sure?"}},
      {{"role", "assistant"}, {"content", "Yes."}, {"reasoning_content", "Well."}}};
  return messages;
}

TEST(ChatTemplate, FindsAnswersBehindPromptsThatOpenAThought) {
  const std::string loop =
      "{% for m in messages %}{% if m.role == 'user' %}{{ '<U>' + m.content }}{% else %}"
      "{{ '<A>' + drop + m.content + '</s>' }}{% endif %}{% endfor %}";
  const auto with = [&](const std::string& drop, const std::string& prompt) {
    return "{% set drop = '" + drop + "' %}" + loop + "{% if add_generation_prompt %}{{ '" +
           prompt + "' }}{% endif %}";
  };
  EXPECT_EQ(answers_by(with("", "<A><think>\\n"), thinking_chat()),
            (Strings{"1:So.</s>", "3:Yes.</s>"}));
  EXPECT_EQ(answers_by(with("</think>", "<A><think>"), thinking_chat()),
            (Strings{"1:</think>So.</s>", "3:</think>Yes.</s>"}));
  EXPECT_EQ(answers_by(with("<think></think>", "<A><think>\\n"), thinking_chat()),
            (Strings{"1:<think></think>So.</s>", "3:<think></think>Yes.</s>"}));
  // Something else than a thought is given to the model and not in the text.
  EXPECT_NE(data_error([&] {
              answers_by(with("", "<A>Sure: "), thinking_chat());
            }).find("has no fixed place"),
            std::string::npos);
}

TEST(ChatTemplate, FindsAnswersWhoseLastTurnEndsOtherwise) {
  const std::string harmony =
      "{% for m in messages %}{% if m.role == 'user' %}{{ '<|start|>user<|message|>' + m.content + "
      "'<|end|>' }}{% elif m.tool_calls %}{{ '<|start|>assistant to=' + m.tool_calls[0].name + "
      "'<|message|>' + m.tool_calls[0].arguments|tojson + '<|call|>' }}{% elif m.role == 'tool' %}"
      "{{ '<|start|>tool<|message|>' + m.content + '<|end|>' }}{% else %}{{ '<|start|>assistant' }}"
      "{% if loop.last and m.thinking %}{{ '<|channel|>analysis<|message|>' + m.thinking + "
      "'<|end|><|start|>assistant' }}{% endif %}{{ '<|channel|>final<|message|>' + m.content + "
      "('<|return|>' if loop.last else '<|end|>') }}{% endif %}{% endfor %}"
      "{% if add_generation_prompt %}{{ '<|start|>assistant' }}{% endif %}";
  EXPECT_EQ(answers_by(harmony, thinking_chat()),
            (Strings{"1:<|channel|>final<|message|>So.<|end|>",
                     "3:<|channel|>analysis<|message|>Well.<|end|><|start|>assistant<|channel|>"
                     "final<|message|>Yes.<|return|>"}));
  const ordered_json called = {
      {{"role", "user"}, {"content", "Why?"}},
      {{"role", "assistant"}, {"tool_calls", {{{"name", "f"}, {"arguments", {{"a", 1}}}}}}},
      {{"role", "tool"}, {"content", "42"}},
      {{"role", "assistant"}, {"content", "So."}},
      {{"role", "user"}, {"content", "Sure?"}},
      {{"role", "assistant"}, {"content", "Yes."}}};
  EXPECT_EQ(answers_by(harmony, called), (Strings{"1: to=f<|message|>{\"a\": 1}<|call|>",
                                                  "3:<|channel|>final<|message|>So.<|end|>",
                                                  "5:<|channel|>final<|message|>Yes.<|return|>"}));
}

TEST(ChatTemplate, LeavesOutAQuestionForMoreThatEndsEveryConversation) {
  const std::string always =
      "{% for m in messages %}{{ '<1>' + m.role + '\\n' + m.content + '\\n' }}{% endfor %}"
      "{{ '<1>assistant\\n' }}";
  EXPECT_EQ(answers_by(always, thinking_chat()), (Strings{"1:So.\n", "3:Yes.\n"}));
}

TEST(ChatTemplate, RefusesAnswersItCannotPlace) {
  const auto refused = [](const std::string& text) {
    return data_error([&] { answers_by(text, thinking_chat()); });
  };
  // In another order, and in other letters.
  for (const std::string text :
       {"{% for m in messages|reverse %}{{ '<' + m.role + '>' + m.content }}{% endfor %}",
        "{{ messages|length }}{% for m in messages %}{{ m.role + m.content|upper }}{% endfor %}"}) {
    EXPECT_NE(refused(text).find("place"), std::string::npos) << text << ": " << refused(text);
  }
  // What a tool said stands between an answer's call and its text.
  const std::string within =
      "{% for m in messages %}{% if m.role == 'user' %}{{ '<U>' + m.content }}{% elif m.role == "
      "'assistant' %}{{ '<A>' + m.tool_calls|default([])|map(attribute='name')|join }}"
      "{% if loop.nextitem is defined and loop.nextitem.role == 'tool' %}{{ '<T>' + "
      "loop.nextitem.content + '</T>' }}{% endif %}{{ m.content + '</A>' }}{% endif %}{% endfor %}"
      "{% if add_generation_prompt %}{{ '<A>' }}{% endif %}";
  const ordered_json called = {
      {{"role", "user"}, {"content", "Why?"}},
      {{"role", "assistant"}, {"content", "Let me see."}, {"tool_calls", {{{"name", "f"}}}}},
      {{"role", "tool"}, {"content", "42"}}};
  EXPECT_NE(data_error([&] { answers_by(within, called); }).find("has no fixed place"),
            std::string::npos);
  // What the template itself refuses.
  EXPECT_EQ(span_error("gemma", "system"),
            "gemma: line 1: the template refuses this conversation: System role not supported");
}

TEST(NamedTemplates, TeachAnswersWithTheirEnds) {
  const std::vector<std::tuple<std::string, std::string, std::string>> cases = {
      {"chatml", "", "<|im_end|>"},
      {"qwen3", "", "<|im_end|>"},
      {"llama2", " ", " </s>"},
      {"llama3", "", "<|eot_id|>"},
      {"mistral", "", "</s>"},
      {"gemma", "", "<end_of_turn>"},
      {"phi3", "", "<|end|>"},
      {"phi4", "", "<|end|>"},
      {"zephyr", "", "</s>"},
      {"granite", "", "<|end_of_text|>"},
      {"olmo2", "", "<|endoftext|>"},
      {"exaone4", "", "[|endofturn|]"},
      {"glm4", "", "<|user|>"},
      {"command-r", "", "<|END_OF_TURN_TOKEN|>"},
      {"gpt-oss", "<|channel|>final<|message|>", "<|return|>"},
      {"nanochat", "", "<|assistant_end|>"},
      {"nemotron", "", "\n"},
      {"vicuna", " ", "</s>"},
      {"alpaca", "", "</s>"},
  };
  ASSERT_EQ(cases.size(), named_templates().size());
  for (const auto& [name, before, end] : cases) {
    ASSERT_NE(find_named_template(name), nullptr) << name;
    const ChatTemplate chat =
        ChatTemplate::from_text(std::string(find_named_template(name)->text), {}, name);
    const RenderedChat result = chat.render_with_spans(conversation("system"), options_from({}));
    const std::string earlier = end == "<|return|>" ? "<|end|>" : end;
    EXPECT_EQ(answers_of(result),
              (Strings{"2:" + before + "Hello." + earlier, "4:" + before + "So long." + end}))
        << name;
    EXPECT_NE(result.text.find("You are terse.\nVery."), std::string::npos) << name;
  }
}

TEST(NamedTemplates, KnowCallsAndThoughtsWhereTheFormatHasThem) {
  const ChatTemplate chat =
      ChatTemplate::from_text(std::string(find_named_template("qwen3")->text), {}, "qwen3");
  const RenderedChat result =
      chat.render_with_spans(conversation("two calls"), options_from({{"tools", "weather"}}));
  const std::string call =
      "<tool_call>\n{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Z\u00fcrich\", "
      "\"days\": "
      "2, \"units\": [\"C\", \"\\\"F\\\"\"], \"exact\": true, \"note\": null}}\n</tool_call>";
  EXPECT_EQ(answers_of(result),
            (Strings{"2:Looking.\n" + call + "\n" + call + "<|im_end|>", "5:Mixed.<|im_end|>"}));
  EXPECT_EQ(answers_of(chat.render_with_spans(messages_from(thinking_chat()), {})),
            (Strings{"1:<think>\nHm.\n</think>\n\nSo.<|im_end|>",
                     "3:<think>\nWell.\n</think>\n\nYes.<|im_end|>"}));
}

TEST(ChatTemplate, EndsWhereTheLastMessageIsToBeContinued) {
  ChatOptions options = options_from({});
  options.continue_final_message = true;
  const auto continued = [&](const std::string& name, const std::string& chat) {
    return golden_template(name).render(conversation(chat), options);
  };
  EXPECT_EQ(continued("chatml", "pair"),
            "<|im_start|>user\nWhat is 2 + 2?<|im_end|>\n<|im_start|>assistant\nFour.");
  // A blank at the end stays where the template keeps it, and is gone where it trims.
  const ordered_json half = {{{"role", "user"}, {"content", "Go on."}},
                             {{"role", "assistant"}, {"content", "One, two, "}}};
  EXPECT_TRUE(golden_template("chatml").render(messages_from(half), options).ends_with("two, "));
  EXPECT_TRUE(golden_template("llama3").render(messages_from(half), options).ends_with("two,"));
  const ordered_json parts = {
      {{"role", "user"}, {"content", "Go on."}},
      {{"role", "assistant"},
       {"content", {{{"type", "text"}, {"text", "One,"}}, {{"type", "text"}, {"text", "two,"}}}}}};
  EXPECT_TRUE(
      golden_template("gemma3").render(messages_from(parts), options).ends_with("One,two,"));
  // A thought that the template takes out of the content leaves no end to go on from.
  EXPECT_NE(data_error([&] {
              const ordered_json thought = {
                  {{"role", "user"}, {"content", "Go on."}},
                  {{"role", "assistant"}, {"content", "<think>\nA\n</think>One"}}};
              golden_template("qwen3").render(messages_from(thought), options);
            }).find("no end to continue from"),
            std::string::npos);
}

ChatTemplate from_source(const std::string& source) {
  return ChatTemplate::from_text(source, {{"eos_token", "</s>"}}, "t");
}

const std::vector<Message>& dialogue() {
  static const std::vector<Message> messages = {
      {"user", "Hi"}, {"assistant", "Yes"}, {"user", "So"}, {"assistant", ">"}};
  return messages;
}

TEST(ChatTemplate, KeepsALineEndThatIsTheOnlyMarker) {
  const auto chat = from_source(
      "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}\n"
      "{% if add_generation_prompt %}assistant: {% endif %}");
  EXPECT_EQ(answers_of(chat.render_with_spans(dialogue())), (Strings{"1:Yes\n", "3:>\n"}));
}

TEST(ChatTemplate, LetsTheClosingEosEndALastAnswerWithoutAMarker) {
  const auto chat = from_source(
      "{% for m in messages %}{{ '\\n' ~ m.role }}: {{ m.content }}{% endfor %}"
      "{% if add_generation_prompt %}{{ '\\nassistant:' }}{% else %}{{ eos_token }}{% endif %}");
  EXPECT_EQ(answers_of(chat.render_with_spans(dialogue())), (Strings{"1: Yes", "3: ></s>"}));
}

TEST(ChatTemplate, TellsContentFromAMarkerThatEndsLikeIt) {
  const auto chat = from_source(
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}<end>\n\n{% endfor %}"
      "{% if add_generation_prompt %}<assistant>{% endif %}");
  EXPECT_EQ(answers_of(chat.render_with_spans(dialogue())), (Strings{"1:Yes<end>", "3:><end>"}));
}

TEST(ChatTemplate, GivesEachGenerationBlockToItsMessage) {
  const auto chat = from_source(
      "{% for m in messages %}{% if m.role == 'assistant' %}{% for w in m.content.split() %}"
      "{% generation %}{{ w }}{% endgeneration %} {% endfor %}{% else %}{{ m.content }} {% endif %}"
      "{% endfor %}");
  const std::vector<Message> messages = {
      {"user", "a"}, {"assistant", "b c"}, {"assistant", ""}, {"user", "d"}, {"assistant", "e"}};
  EXPECT_EQ(answers_of(chat.render_with_spans(messages)), (Strings{"1:b", "1:c", "4:e"}));
}

TEST(ChatTemplate, CountsGenerationBlocksOfTemplatesThatWalkByIndex) {
  const std::string source =
      "{% for i in range(messages|length) %}{% if messages[i].role == 'assistant' %}"
      "{% generation %}{{ messages[i].content }}{% endgeneration %}{% endif %}{% endfor %}";
  EXPECT_EQ(answers_of(from_source(source).render_with_spans(dialogue())),
            (Strings{"1:Yes", "3:>"}));
  const auto more = from_source(source + "{% generation %}!{% endgeneration %}");
  EXPECT_EQ(data_error([&] { more.render_with_spans(dialogue()); }),
            "t: 3 generation blocks were printed for 2 assistant messages, and which belongs to "
            "which cannot be told");
}

TEST(ChatTemplate, VariablesWinOverSpecialTokens) {
  const auto chat = from_source("{{ eos_token }}{{ tools }}{{ documents }}{{ extra }}");
  ChatOptions options;
  jinja::Dict variables;
  variables.set("eos_token", Value("<end>"));
  variables.set("extra", Value(5));
  options.variables = Value(std::move(variables));
  EXPECT_EQ(chat.render({}, options), "<end>NoneNone5");
  EXPECT_EQ(chat.render({}), "</s>NoneNone");
}

TEST(ChatTemplate, PicksAmongNamedTemplatesByTheTools) {
  const NamedTexts texts = {
      {"rag", "r"}, {"default", "d{{ bos_token }}"}, {"tool_use", "t{{ tools|length }}"}};
  const auto chat = ChatTemplate::from_named(texts, {{"bos_token", "<s>"}}, "model");
  EXPECT_EQ(chat.render({}), "d<s>");
  ChatOptions options;
  options.tools = Value::list({Value(1), Value(2)});
  EXPECT_EQ(chat.render({}, options), "t2");
  options.tools = Value::list({});  // tools all the same, as Transformers has it
  EXPECT_EQ(chat.render({}, options), "t0");
  EXPECT_EQ(ChatTemplate::from_named({{"default", "x"}}, {}, "model").render({}, options), "x");
  EXPECT_EQ(ChatTemplate::from_named({{"tool_use", "x"}}, {}, "model").render({}, options), "x");
}

TEST(ChatTemplate, FailsOnlyWhereATemplateIsMissingOrWrongThatIsUsed) {
  const auto error_of = [](const NamedTexts& texts, bool tools) {
    const auto chat = ChatTemplate::from_named(texts, {}, "model");
    ChatOptions options;
    options.tools = tools ? Value::list({Value(1)}) : Value();
    return data_error([&] { chat.render({}, options); });
  };
  const NamedTexts no_default = {{"rag", "r"}, {"tool_use", "t"}};
  EXPECT_EQ(
      error_of(no_default, false),
      "model: no chat template is named \"default\" (there are \"rag\", \"tool_use\"); name the "
      "one to use");
  EXPECT_EQ(error_of(no_default, true), "");
  const NamedTexts broken = {{"default", "d"}, {"rag", "{% if"}, {"tool_use", "{{"}};
  EXPECT_EQ(error_of(broken, false), "");
  EXPECT_EQ(error_of(broken, true), "model (tool_use): line 1: the tag {{ is not closed");
  EXPECT_EQ(error_of({{"default", "{{"}}, false), "model: line 1: the tag {{ is not closed");
}

TEST(ChatTemplate, SaysWhetherItReadsTheDate) {
  const auto reads = [](const NamedTexts& texts) {
    return ChatTemplate::from_named(texts, {}, "model").reads_date();
  };
  EXPECT_FALSE(reads({{"default", "{# strftime_now #}strftime_now {{ date }}"}}));
  EXPECT_TRUE(reads({{"default", "{% if false %}{{ strftime_now('%Y') }}{% endif %}"}}));
  EXPECT_TRUE(reads({{"default", "x"}, {"tool_use", "{% set f = strftime_now %}"}}));
}

TEST(Message, ReadsContentInAllItsForms) {
  const auto text_of = [](const char* json) {
    return Message::from_json(ordered_json::parse(json), "row").text();
  };
  EXPECT_EQ(text_of(R"({"role": "user", "content": "a"})"), "a");
  EXPECT_EQ(text_of(R"({"role": "user", "content": null, "tool_calls": []})"), "");
  EXPECT_EQ(text_of(R"({"role": "assistant", "tool_calls": []})"), "");
  EXPECT_EQ(text_of(R"({"role": "user", "content": [{"type": "text", "text": "a"},
                                                    {"type": "text", "text": "b"}]})"),
            "ab");
  EXPECT_TRUE(Message("assistant", "x").is_assistant());
}

TEST(Message, LeavesOutKeysThatAreNull) {
  const auto chat = ChatTemplate::from_text(
      "{% for m in messages %}{{ m.keys()|join(',') }} {{ m.tool_calls is defined }} {{ m }};"
      "{% endfor %}",
      {}, "t");
  const auto rendered = [&](const char* json) {
    const Message message = Message::from_json(ordered_json::parse(json), "row");
    return chat.render(std::span(&message, 1));
  };
  EXPECT_EQ(rendered(R"({"role": "user", "content": "a", "name": null, "tool_calls": null})"),
            "role,content False {'role': 'user', 'content': 'a'};");
  EXPECT_EQ(rendered(R"({"role": "assistant", "content": null, "tool_calls": [{"a": null}]})"),
            "role,tool_calls True {'role': 'assistant', 'tool_calls': [{'a': None}]};");
  EXPECT_EQ(rendered(R"({"role": "user", "content": "a", "thinking": null, "reasoning": "b"})"),
            "thinking,role,content,reasoning,reasoning_content False {'thinking': 'b', 'role': "
            "'user', 'content': 'a', 'reasoning': 'b', 'reasoning_content': 'b'};");
}

TEST(Message, RefusesWhatIsNoMessage) {
  const std::string part =
      "a part of \"content\" is not {\"type\": \"text\", \"text\": string}; only text can be "
      "learnt";
  const std::vector<std::pair<const char*, std::string>> cases = {
      {"[]", "a message must be an object, not array"},
      {R"({"content": "x"})", "a message needs a \"role\" that is a string"},
      {R"({"role": 1, "content": "x"})", "a message needs a \"role\" that is a string"},
      {R"({"role": "user"})", "a message needs a \"content\" (or \"tool_calls\")"},
      {R"({"role": "user", "content": 5})",
       "\"content\" must be a string, a list of text parts or null, not number"},
      {R"({"role": "user", "content": ["a"]})", part},
      {R"({"role": "user", "content": [{"type": "image", "url": "x"}]})", part},
      {R"({"role": "user", "content": [{"type": "text"}]})", part},
  };
  for (const auto& [json, sentence] : cases) {
    const auto message = ordered_json::parse(json);
    EXPECT_EQ(data_error([&] { Message::from_json(message, "row 2"); }), "row 2: " + sentence);
  }
}

}  // namespace
}  // namespace inlay
