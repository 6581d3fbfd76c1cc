// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/data/dataset/fixture.h"

/// Lists of messages as people's files have them: names of roles and keys, nulls, weights, and what
/// a template leaves out or does not teach.
namespace inlay {
namespace {

using Rows = std::vector<std::string>;

std::string message(const std::string& role, const std::string& content,
                    const std::string& keys = "") {
  return R"({"role": ")" + role + R"(", "content": ")" + content + "\"" + keys + "}";
}

std::string messages(const std::string& list) {
  return "{\"messages\": [" + list + "]}";
}

/// A template that asks for roles by name, as most of them do.
TestModel knowing_model() {
  TestModel model;
  model.chat = ChatTemplate::from_text(
      "{% for m in messages %}{% if m.role == 'user' %}U:{{ m.content }}\n"
      "{% elif m.role == 'assistant' %}A:{{ m.content }}<|im_end|>\n{% endif %}{% endfor %}"
      "{% if add_generation_prompt %}A:{% endif %}",
      {}, "knowing.jinja");
  return model;
}

const std::string kAsked = "<|im_start|>user\nHi<|im_end|>\n<|im_start|>assistant\n";

TEST(Conversations, AreReadInShareGptsTerms) {
  const std::string hi = R"({"from": "human", "value": "Hi"})";
  const std::string yo = R"({"from": "gpt", "value": "Yo."})";
  const std::string system = "<|im_start|>system\nBe.<|im_end|>\n";
  const struct {
    std::string row;
    std::string learnt;
  } cases[] = {
      {R"({"conversations": [)" + hi + ", " + yo + "]}", kAsked + "[Yo.<|im_end|>]\n"},
      {R"({"conversations": [)" + message("user", "Hi") + ", " + message("assistant", "Yo.") + "]}",
       kAsked + "[Yo.<|im_end|>]\n"},
      {R"({"conversations": [)" + message("human", "Hi") + ", " + message("gpt", "Yo.") + "]}",
       kAsked + "[Yo.<|im_end|>]\n"},
      {R"({"conversations": [{"from": "user", "value": "Hi"}, {"from": "assistant", "value": )"
       R"("Yo."}]})",
       kAsked + "[Yo.<|im_end|>]\n"},
      {R"({"messages": [)" + hi + ", " + yo + "]}", kAsked + "[Yo.<|im_end|>]\n"},
      {R"({"system": "Be.", "tools": "", "conversations": [)" + hi + ", " + yo + "]}",
       system + kAsked + "[Yo.<|im_end|>]\n"},
      {R"({"system": "", "tools": null, "conversations": [)" + hi + ", " + yo + "]}",
       kAsked + "[Yo.<|im_end|>]\n"},
      {R"({"conversations": [{"from": "system", "value": "Be."}, )" + hi + ", " + yo + "]}",
       system + kAsked + "[Yo.<|im_end|>]\n"},
      {R"({"conversations": [)" + hi + ", " + yo + R"(, {"from": "observation", "value": "9"}, )" +
           R"({"from": "gpt", "value": "Nine.", "weight": 0}]})",
       kAsked + "[Yo.<|im_end|>]\n<|im_start|>tool\n9<|im_end|>\n<|im_start|>assistant\n"
                "Nine.<|im_end|>\n"},
      {R"({"conversations": [{"from": "human", "value": "Hi", "role": null}, )" + yo + "]}",
       kAsked + "[Yo.<|im_end|>]\n"},
  };
  const TestModel model = chatml_model();
  for (const auto& c : cases) {
    EXPECT_EQ(learnt_rows(c.row, model), Rows{c.learnt}) << c.row;
  }
}

TEST(Conversations, MakeCallsOfShareGptsFunctionCalls) {
  TestModel model;
  model.chat = ChatTemplate::from_text(
      "{{ tools | map(attribute='function') | map(attribute='name') | join(',') if tools else '' "
      "}}|"
      "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}"
      "{% for t in m.tool_calls or [] %}{{ t.function.name }}({{ t.function.arguments | tojson }})"
      "{% endfor %}{{ m.content }}<|im_end|>{% endgeneration %}{% else %}{{ m.role }}:{{ m.content "
      "}} "
      "{% endif %}{% endfor %}",
      {}, "calls.jinja");
  const std::string tools = R"("tools": "[{\"name\": \"sum\", \"parameters\": {}}]")";
  const std::string rest =
      R"({"from": "observation", "value": "3"}, {"from": "gpt", "value": "3."})";
  const std::string ask = R"({"from": "human", "value": "1+2"}, )";
  EXPECT_EQ(learnt_rows(R"({"conversations": [)" + ask +
                            R"({"from": "function_call", "value": )"
                            R"("{\"name\": \"sum\", \"arguments\": {\"a\": 1}}"}, )" +
                            rest + "], " + tools + "}",
                        model),
            Rows{"sum|user:1+2 [sum({\"a\": 1})<|im_end|>]tool:3 [3.<|im_end|>]"});
  EXPECT_EQ(load_error(R"({"conversations": [)" + ask + R"({"from": "function_call", "value": )" +
                           R"("{\"arguments\": {}}"}, )" + rest + "]}",
                       model.model()),
            "train.jsonl: line 1: /conversations/1: a function_call must be {\"name\", "
            "\"arguments\"} or a list of those");
}

TEST(Conversations, TakeNullForWhatIsNotThere) {
  TestModel model;
  model.chat = ChatTemplate::from_text(
      "{% for m in messages %}{{ m.role }}{{ ' ' + m.name if 'name' in m }}:"
      "{% if m.role == 'assistant' %}{% generation %}"
      "{% if 'tool_calls' in m %}{{ m.tool_calls[0].function.name }}{% else %}{{ m.content }}"
      "{% endif %}{{ ' (' + m.reasoning_content + ')' if 'reasoning_content' in m }}<|im_end|>"
      "{% endgeneration %}{% else %}{{ m.content }} {% endif %}{% endfor %}",
      {}, "nulls.jinja");
  const std::string call = R"([{"type": "function", "function": {"name": "f", "arguments": {}}}])";
  const struct {
    std::string list;
    std::string learnt;
  } cases[] = {
      {message("user", "a", R"(, "name": null, "tool_call_id": null)") + "," +
           message("assistant", "b", R"(, "tool_calls": null, "reasoning_content": null)"),
       "user:a assistant:[b<|im_end|>]"},
      {message("user", "a", R"(, "name": "Jo")") + "," + message("assistant", "b"),
       "user Jo:a assistant:[b<|im_end|>]"},
      {message("user", "a") + R"(, {"role": "assistant", "content": null, "tool_calls": )" + call +
           "}",
       "user:a assistant:[f<|im_end|>]"},
      {message("user", "a") + R"(, {"role": "assistant", "content": null, "tool_calls": )" + call +
           R"(, "name": null})",
       "user:a assistant:[f<|im_end|>]"},
      {message("user", "a") + R"(, {"role": "assistant", "tool_calls": )" + call + "}",
       "user:a assistant:[f<|im_end|>]"},
      {message("user", "a") + "," + message("assistant", "b", R"(, "weight": null, "train": null)"),
       "user:a assistant:[b<|im_end|>]"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(learnt_rows(messages(c.list), model), Rows{c.learnt}) << c.list;
  }
}

TEST(Conversations, JoinTextPartsForTemplatesThatTakeNoLists) {
  const std::string parts =
      R"({"role": "user", "content": [{"type": "text", "text": "H"}, {"type": "text", "text": "i"}]})";
  EXPECT_EQ(learnt_rows(messages(parts + "," + message("assistant", "Yo.")), chatml_model()),
            Rows{kAsked + "[Yo.<|im_end|>]\n"});
  EXPECT_EQ(load_text(messages(parts + "," + message("assistant", "Yo.")), chatml_model().model())
                .report.notes,
            Rows{"1 row (in line 1) has a content of text parts, joined to one string: the chat "
                 "template takes no lists"});
  // Printed as Python prints a list, if the template does not look.
  EXPECT_EQ(learnt_rows(messages(parts + "," + message("assistant", "Yo.")), knowing_model()),
            Rows{"U:Hi\nA:[Yo.<|im_end|>]\n"});
  TestModel typed;
  typed.chat = ChatTemplate::from_text(
      "{% for m in messages %}{% if m.content is string %}{% generation %}{{ m.content }}<|im_end|>"
      "{% endgeneration %}{% else %}{% for p in m.content %}<{{ p.text }}>{% endfor %}{% endif %}"
      "{% endfor %}",
      {}, "typed.jinja");
  EXPECT_EQ(learnt_rows(messages(parts + "," + message("assistant", "Yo.")), typed),
            Rows{"<H><i>[Yo.<|im_end|>]"});
}

TEST(Conversations, AreRefusedWithThePlaceOfWhatIsWrong) {
  const std::string ask = message("user", "Hi");
  const std::string yo = message("assistant", "Yo.");
  const TestModel chatml = chatml_model();
  const TestModel knowing = knowing_model();
  const struct {
    const TestModel& model;
    std::string list;
    std::string error;
    DatasetOptions options = {};
  } cases[] = {
      {chatml, message("User", "Hi") + "," + yo,
       "/messages/0: the role \"User\" differs from \"user\" only in case: roles are written in "
       "lower case"},
      {chatml, ask + "," + message("ASSISTANT", "Yo."),
       "/messages/1: the role \"ASSISTANT\" differs from \"assistant\" only in case: roles are "
       "written in lower case"},
      {chatml, message("System", "Be") + "," + ask + "," + yo,
       "/messages/0: the role \"System\" differs from \"system\" only in case: roles are written "
       "in "
       "lower case"},
      {chatml, R"({"from": "Human", "value": "Hi"}, {"from": "gpt", "value": "Yo."})",
       "/messages/0: the role \"Human\" differs from \"human\" only in case: roles are written in "
       "lower case"},
      {knowing, message("human", "Hi") + "," + yo,
       "/messages/0: the chat template writes nothing of a message whose role is \"human\" (did "
       "you "
       "mean \"user\"?)"},
      {knowing, ask + "," + message("gpt", "Yo."),
       "/messages/1: the chat template writes nothing of a message whose role is \"gpt\" (did you "
       "mean \"assistant\"?)"},
      {knowing, message("system", "Be") + "," + ask + "," + yo,
       "/messages/0: the chat template writes nothing of a message whose role is \"system\""},
      {knowing, ask + "," + message("usr", "And?") + "," + yo,
       "/messages/1: the chat template writes nothing of a message whose role is \"usr\" (did you "
       "mean \"user\"?)"},
      {chatml, ask + R"(, {"role": "assistant", "content": null})",
       "/messages/1/content: must be a string, not null, in a message without tool_calls"},
      {chatml, R"({"role": "user", "content": null}, )" + yo,
       "/messages/0/content: must be a string, not null, in a message without tool_calls"},
      {chatml, ask + R"(, {"role": "assistant", "content": null, "tool_calls": null})",
       "/messages/1/content: must be a string, not null, in a message without tool_calls"},
      {chatml, ask + R"(, {"role": "assistant", "content": null, "function_call": {"name": "f"}})",
       "/messages/1/function_call: is an old form that templates do not read; write "
       "\"tool_calls\""},
      {chatml, ask + "," + message("assistant", "Yo.", R"(, "weight": 0.5)"),
       "/messages/1/weight: must be 0 or 1 (not learnt, learnt), not 0.5; other weights are not "
       "supported"},
      {chatml, ask + "," + message("assistant", "Yo.", R"(, "loss_weight": 2)"),
       "/messages/1/loss_weight: must be 0 or 1 (not learnt, learnt), not 2; other weights are not "
       "supported"},
      {chatml, ask + "," + message("assistant", "Yo.", R"(, "train": "no")"),
       "/messages/1/train: must be 0 or 1 (not learnt, learnt), not \"no\"; other weights are not "
       "supported"},
      {chatml, ask + "," + message("assistant", "Yo.", R"(, "weight": 1, "train": false)"),
       "/messages/1: \"weight\" and \"train\" contradict each other"},
      {chatml, message("user", "Hi", R"(, "train": true)") + "," + yo,
       "/messages/0/train: asks to learn a message of the role \"user\"; only the assistant's can "
       "be"},
      {chatml,
       message("user", "Hi", R"(, "weight": 0)") + "," + yo,
       "/messages/0/weight: only an assistant's message can be left out of what is learnt, not one "
       "of the role \"user\"",
       {.assistant_only_loss = false}},
      {chatml,
       ask + "," + message("assistant", "Yo.", R"(, "train_detail": [{"begin_offset": 0}])"),
       "/messages/1/train_detail: is not supported; a message is learnt as a whole or not at all "
       "(\"train\")"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(load_error("{}\n" + messages(c.list), c.model.model(), c.options),
              "train.jsonl: line 2: " + c.error);
  }
  EXPECT_EQ(load_error(R"({"system": "Be.", "conversations": [{"from": "system", "value": "Do."}, )"
                       R"({"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]})",
                       chatml.model()),
            "train.jsonl: line 1: /system: there is a system message in /conversations, too: leave "
            "one of them out");
}

TEST(Conversations, LeaveAnswersOfWeightZeroOutOfAllThatIsLearnt) {
  const std::string list = message("user", "Hi") + "," +
                           message("assistant", "No.", R"(, "weight": 0)") + "," +
                           message("user", "Hi") + "," + message("assistant", "Yo.");
  EXPECT_EQ(learnt_rows(messages(list), chatml_model(), {.assistant_only_loss = false}),
            Rows{"[" + kAsked + "]No.<|im_end|>[\n" + kAsked + "Yo.<|im_end|>\n]"});
  const std::string pair = R"({"prompt": [)" + message("user", "Hi") + R"(], "completion": [)" +
                           message("assistant", "No.", R"(, "weight": 0)") + "," +
                           message("user", "Hi") + "," + message("assistant", "Yo.") + "]}";
  EXPECT_EQ(learnt_rows(pair, chatml_model(), {.assistant_only_loss = false}),
            Rows{kAsked + "No.<|im_end|>[\n" + kAsked + "Yo.<|im_end|>\n]"});
  EXPECT_EQ(learnt_rows(pair, chatml_model()),
            Rows{kAsked + "No.<|im_end|>\n" + kAsked + "[Yo.<|im_end|>]\n"});
}

TEST(Conversations, AreNotedWhereTheTemplateLeavesPartsOut) {
  TestModel model;  // a system message behind the first place is passed over, and so are tools
  model.chat = ChatTemplate::from_text(
      "{% for m in messages %}{% if m.role == 'system' and not loop.first %}"
      "{% elif m.role == 'assistant' %}{% generation %}{{ m.content }}<|im_end|>{% endgeneration %}"
      "{% else %}{{ m.content }} {% endif %}{% endfor %}",
      {}, "first.jinja");
  const std::string two = message("user", "Hi") + "," + message("assistant", "Yo.");
  const std::string rows = messages(message("system", "Be.") + "," + two) + "\n" +
                           messages(two + "," + message("system", "Beware.")) + "\n" +
                           "{\"messages\": [" + two + R"(], "tools": [{"name": "look_up"}]})";
  EXPECT_EQ(load_text(rows, model.model()).report.notes,
            (Rows{"1 row (in line 2) has a message of which the chat template writes nothing",
                  "1 row (in line 3) has tools of which the chat template writes nothing"}));
}

TEST(Conversations, AreNotedWhereNoneTeachesToStop) {
  const std::string row = messages(message("user", "Hi") + "," + message("assistant", "Yo."));
  const auto notes_with = [&](const std::string& text, const std::string& rows,
                              const DatasetOptions& options) {
    TestModel model;
    model.chat = ChatTemplate::from_text(text, {}, "a.jinja");
    return load_text(rows, model.model(), options).report.notes;
  };
  const std::string blocks =
      "no answer ends with a token that stops generation, so the model does not learn to stop: the "
      "chat template's {% generation %} blocks leave the end of the turn out";
  const auto generation = [](const std::string& inside, const std::string& behind) {
    return "{% for m in messages %}{% if m.role == 'assistant' %}{% generation %}{{ m.content }}" +
           inside + "{% endgeneration %}" + behind +
           "{% else %}{{ m.content }}{% endif %}{% endfor %}";
  };
  EXPECT_EQ(notes_with(generation("", "<|im_end|>"), row, {}), Rows{blocks});
  EXPECT_EQ(notes_with(generation("", "<|endoftext|>\n"), row + "\n" + row, {}), Rows{blocks});
  EXPECT_EQ(notes_with(generation("<|im_end|>", "\n"), row, {}), Rows{});
  // An end of turn that is no token.
  EXPECT_EQ(
      notes_with(generation("", "[end]"), row, {}),
      Rows{"no answer ends with a token that stops generation, so the model does not learn to "
           "stop"});
  // Some rows teach it, by what their author wrote.
  const std::string mixed =
      row + "\n" +
      messages(message("user", "Hi") + "," + message("assistant", "Yo.", ", \"ends\": true"));
  EXPECT_EQ(
      notes_with(generation("{{ '<|im_end|>' if m.ends }}", "{{ '<|im_end|>' if not m.ends }}"),
                 mixed, {}),
      Rows{"1 row (in line 1) has an answer whose end of turn is not learnt: the chat "
           "template's {% generation %} block ends before it"});
  const std::string pair = R"({"prompt": "a", "completion": " b c"})";
  EXPECT_EQ(
      load_text(pair, chatml_model().model(), {.add_eos = false}).report.notes,
      Rows{"no answer ends with a token that stops generation, so the model does not learn to "
           "stop: data.add_eos is false"});
  EXPECT_EQ(load_text(pair, chatml_model().model()).report.notes, Rows{});
  // Rows of text are no answers, nor are ids without labels.
  EXPECT_EQ(
      load_text(R"({"text": "a b"})", chatml_model().model(), {.add_eos = false}).report.notes,
      Rows{});
  EXPECT_EQ(load_text(R"({"input_ids": [3, 4]})", chatml_model().model()).report.notes, Rows{});
}

TEST(Conversations, ThatBeginWithAnAnswerWithoutAPlaceAreRefused) {
  TestModel model;
  model.chat = ChatTemplate::from_text(
      "{{ messages[0].role }} {% for m in messages %}{{ m.content }}{{ m.content }}|{% endfor %}",
      {}, "twice.jinja");
  EXPECT_EQ(load_error(messages(message("assistant", "Yo.") + "," + message("user", "Hi")),
                       model.model()),
            "train.jsonl: line 1: twice.jinja: the answer of message 0 comes before any question, "
            "and where it begins and ends in the conversation cannot be told; {% generation %} "
            "blocks in the template would mark it");
}

/// A template that puts a thought before every answer, an empty one where there is none.
TestModel thinking_model() {
  TestModel model;
  model.chat = ChatTemplate::from_text(
      "{% for m in messages %}{% if m.role == 'user' %}{{ 'U:' + m.content + '\n' }}"
      "{% else %}{{ 'A:<think>\n' + m.reasoning_content|default('') + '\n</think>\n\n' + "
      "m.content + '<|im_end|>\n' }}{% endif %}{% endfor %}"
      "{% if add_generation_prompt %}A:{% endif %}",
      {}, "thinking.jinja");
  return model;
}

TEST(Conversations, LeaveThoughtsOutOfTheLossWhereTold) {
  const std::string row = messages(message("user", "Hi") + "," + message("assistant", "Yo.") + "," +
                                   message("user", "Why?") + "," +
                                   message("assistant", "So.", R"(, "reasoning_content": "Hm.")"));
  const auto with = [&](TrainThinking thinking) {
    return learnt_rows(row, thinking_model(), {.train_on_thinking = thinking});
  };
  const std::string empty = "<think>\n\n</think>\n\n";
  const std::string own = "<think>\nHm.\n</think>\n\n";
  EXPECT_EQ(with(TrainThinking::kAll),
            Rows{"U:Hi\nA:[" + empty + "Yo.<|im_end|>]\nU:Why?\nA:[" + own + "So.<|im_end|>]\n"});
  EXPECT_EQ(with(TrainThinking::kOwn),
            Rows{"U:Hi\nA:" + empty + "[Yo.<|im_end|>]\nU:Why?\nA:[" + own + "So.<|im_end|>]\n"});
  EXPECT_EQ(with(TrainThinking::kNone),
            Rows{"U:Hi\nA:" + empty + "[Yo.<|im_end|>]\nU:Why?\nA:" + own + "[So.<|im_end|>]\n"});
}

TEST(Conversations, NoteThoughtsThatTheTemplateLeavesOut) {
  const TestModel model = chatml_model();
  const std::string row =
      messages(message("user", "Hi") + "," + message("assistant", "Yo.", R"(, "thinking": "Hm.")"));
  const Dataset data = load_text(row, model.model());
  ASSERT_EQ(data.report.notes.size(), 1U);
  EXPECT_NE(data.report.notes[0].find("thinking that the chat template leaves out"),
            std::string::npos)
      << data.report.notes[0];
}

TEST(Conversations, MayHaveDocuments) {
  TestModel model;
  model.chat = ChatTemplate::from_text(
      "{% for d in documents or [] %}{{ d.title + ';' }}{% endfor %}{% for m in messages %}"
      "{{ m.role[0] + ':' + m.content + '<|im_end|>' }}{% endfor %}"
      "{% if add_generation_prompt %}a:{% endif %}",
      {}, "documents.jinja");
  const std::string list = message("user", "Hi") + "," + message("assistant", "Yo.");
  EXPECT_EQ(
      learnt_rows("{\"documents\": [{\"title\": \"One\"}], \"messages\": [" + list + "]}", model),
      Rows{"One;u:Hi<|im_end|>a:[Yo.<|im_end|>]"});
  EXPECT_EQ(load_error("{\"documents\": [\"One\"], \"messages\": [" + list + "]}", model.model()),
            "train.jsonl: line 1: /documents: must be a list of objects (title, text …) or null, "
            "not a list of others");
}

}  // namespace
}  // namespace inlay
