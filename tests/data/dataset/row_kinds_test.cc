// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "tests/data/dataset/fixture.h"

/// What the columns of rows are for, as the programs have it that people's files come from: which
/// are read and which are named as unused, what null means, and what an empty row is.
namespace inlay {
namespace {

using Rows = std::vector<std::string>;

const TestModel& plain_model() {
  static const TestModel model;
  return model;
}

const std::string kPreamble =
    "Below is an instruction that describes a task. Write a response that appropriately completes "
    "the request.";
const std::string kPreambleWithInput =
    "Below is an instruction that describes a task, paired with an input that provides further "
    "context. Write a response that appropriately completes the request.";

std::string turn(const std::string& instruction, const std::string& response) {
  return "\n\n### Instruction:\n" + instruction + "\n\n### Response:" + response;
}

TEST(RowKinds, PutSystemAndHistoryIntoAlpacasPrompt) {
  const std::string last = R"("instruction": "and now?", "output": "rain")";
  const std::string end = turn("and now?", "[rain<|im_end|>]");
  const struct {
    std::string columns;
    std::string learnt;
    DatasetOptions options = {};
  } cases[] = {
      {R"("system": "You are a clerk.", )", "You are a clerk." + end},
      {R"("system": "", "history": [], )", kPreamble + end},
      {R"("system": null, "history": null, "input": null, )", kPreamble + end},
      {R"("history": "", )", kPreamble + end},
      {R"("history": [["how was it?", "sunny"]], )",
       kPreamble + turn("how was it?", "[sunny<|im_end|>]") + end},
      {R"("system": "Be.", "history": [["a", "b"], ["c", "d"]], )",
       "Be." + turn("a", "[b<|im_end|>]") + turn("c", "[d<|im_end|>]") + end},
      {R"("history": [["a", null], [null, "d"]], )",
       kPreamble + turn("a", "") + turn("", "[d<|im_end|>]") + end},
      {R"("history": [["a", "b"]], )",
       kPreamble + turn("a", "[b]") + turn("and now?", "[rain]"),
       {.add_eos = false}},
      {R"("history": [["a", "b"]], "input": "x", )",
       kPreambleWithInput + turn("a", "[b<|im_end|>]") +
           turn("and now?\n\n### Input:\nx", "[rain<|im_end|>]")},
      {R"("history": [["a", "b"]], )",
       "[" + kPreamble + turn("a", "b<|im_end|>") + turn("and now?", "rain<|im_end|>]"),
       {.completion_only_loss = false}},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(learnt_rows("{" + c.columns + last + "}", plain_model(), c.options), Rows{c.learnt})
        << c.columns;
    EXPECT_TRUE(load_text("{" + c.columns + last + "}", plain_model().model(), {.add_eos = true})
                    .report.notes.empty());
  }
}

TEST(RowKinds, AreRefusedWhereAColumnIsOfTheWrongKind) {
  const std::string alpaca = R"("instruction": "a", "output": "b"})";
  const struct {
    std::string row;
    std::string error;
  } cases[] = {
      {R"({"history": "a", )" + alpaca,
       "/history: must be a list of [instruction, response], not string"},
      {R"({"history": ["a", "b"], )" + alpaca,
       "/history/0: must be [instruction, response], two strings, not \"a\""},
      {R"({"history": [["a", "b"], ["c"]], )" + alpaca,
       "/history/1: must be [instruction, response], two strings, not [\"c\"]"},
      {R"({"system": ["a"], )" + alpaca, "/system: must be a string, not array"},
      {R"({"input": 3, )" + alpaca, "/input: must be a string, not number"},
      {R"({"instruction": null, "output": "b", "input": "c"})",
       "/instruction: must be a string, not null"},
      {R"({"prompt": null, "completion": "b"})", "/prompt: must be a string, not null"},
  };
  for (const auto& c : cases) {
    const std::string error = "train.jsonl: line 1: " + c.error;
    EXPECT_EQ(load_error(c.row, plain_model().model()).substr(0, error.size()), error) << c.row;
  }
  EXPECT_EQ(load_error(R"({"instruction": "a", "output": "b"}
{"instruction": null, "output": "b"})",
                       plain_model().model()),
            "train.jsonl: line 2: /instruction: must be a string, not null");
}

TEST(RowKinds, AreJudgedByTheColumnsThatAreNotNull) {
  const struct {
    std::string row;
    const char* format;
  } cases[] = {
      {R"({"text": "a b", "prompt": null, "completion": null})", "text"},
      {R"({"text": null, "prompt": "a", "completion": "b"})", "prompt_completion"},
      {R"({"messages": null, "instruction": "a", "output": "b"})", "alpaca"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(load_text(c.row, plain_model().model()).format->name, c.format) << c.row;
  }
}

TEST(RowKinds, NameTheColumnsThatAreNotUsed) {
  const struct {
    std::string rows;
    std::string note;
  } cases[] = {
      {"{\"id\": 1, \"text\": \"ab\"}\n{\"text\": \"cd\", \"id\": 2, \"source\": \"x\"}",
       "columns that are not used: \"id\" (in 2 rows), \"source\" (in 1 row)"},
      {R"({"prompt": "a", "completion": "b", "tools": []})",
       "columns that are not used: \"tools\" (in 1 row)"},
      {R"({"instruction": "a", "output": "b", "sytem": "c", "text": null})",
       "columns that are not used: \"sytem\" (in 1 row)"},
      {R"({"input_ids": [3, 4], "attention_mask": [1, 1], "token_type_ids": [0, 0]})",
       "columns that are not used: \"token_type_ids\" (in 1 row)"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(load_text(c.rows, plain_model().model()).report.notes, Rows{c.note}) << c.rows;
  }
}

TEST(EmptyRows, AreLeftOutAndCounted) {
  const struct {
    std::string good;
    std::string empty;
    std::string why;
    DatasetOptions options = {};
  } cases[] = {
      {R"({"text": "ab"})", R"({"text": ""})", "/text: is empty"},
      {R"({"text": "ab"})", R"({"text": null, "id": 3})", "/text: is empty"},
      {R"({"text": "ab"})", R"({"text": null})", "all columns of the row are null"},
      {R"({"text": "ab"})", "{}", "the row has no columns"},
      {R"({"prompt": "a", "completion": "b"})", R"({"prompt": "", "completion": ""})",
       "/prompt and /completion: are empty"},
      {R"({"prompt": "a", "completion": "b"})",
       R"({"prompt": "! ! ! !", "completion": " !"})",
       "nothing to learn within max_length 4: the first 7 of 10 tokens are prompt",
       {.max_length = 4}},
      {R"({"prompt": "a", "completion": "b"})",
       R"({"prompt": "!!", "completion": ""})",
       "nothing to learn: of 2 tokens none behind the first is to be learnt",
       {.add_eos = false}},
      {R"({"instruction": "a", "output": "b"})",
       R"({"instruction": "", "input": "", "output": ""})",
       "/instruction, /input and /output: are empty"},
      {R"({"input_ids": [3, 4]})", R"({"input_ids": []})", "/input_ids: is empty"},
      {R"({"input_ids": [3, 4]})", R"({"input_ids": [3, 4], "labels": [-100, -100]})",
       "nothing to learn: of 2 tokens none behind the first is to be learnt"},
      {R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})",
       R"({"messages": []})", "/messages: must be a list of messages, not an empty one"},
      {R"({"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]})",
       R"({"messages": [{"role": "user", "content": "a"}, )"
       R"({"role": "assistant", "content": "b", "weight": 0}]})",
       "nothing to learn: no assistant message has another weight than 0"},
      {R"({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": "b"}]})",
       R"({"conversations": [], "id": 3})",
       "/conversations: must be a list of messages, not an empty one"},
  };
  const TestModel model = chatml_model();
  for (const auto& c : cases) {
    const std::string rows = c.good + "\n" + c.empty + "\n" + c.good + "\n";
    DatasetOptions options = c.options;
    const Dataset dataset = load_text(rows, model.model(), options);
    EXPECT_EQ(dataset.report.rows, 2) << c.empty;
    EXPECT_EQ(dataset.report.skipped, 1) << c.empty;
    EXPECT_EQ(dataset.examples[1].line, 3) << c.empty;
    ASSERT_FALSE(dataset.report.notes.empty()) << c.empty;
    EXPECT_NE(std::find(dataset.report.notes.begin(), dataset.report.notes.end(),
                        "1 row is left out with nothing to train on (line 2: " + c.why + ")"),
              dataset.report.notes.end())
        << c.empty << dataset.report.notes[0];
    options.empty_rows = EmptyRows::kError;
    EXPECT_EQ(load_error(rows, model.model(), options),
              "train.jsonl: line 2: " + c.why + " (data.on_empty_row \"error\")");
    // A run of nothing else.
    options.empty_rows = EmptyRows::kSkip;
    options.format = dataset.format;
    EXPECT_EQ(load_error(c.empty + "\n" + c.empty, model.model(), options),
              "train.jsonl: line 1: " + c.why +
                  "; so it is with all 2 rows, and there is nothing to train on");
  }
}

TEST(EmptyRows, AreAllThereIsWhereEveryCompletionIsEmpty) {
  const std::string user = R"({"messages": [{"role": "user", "content": "a"}, )";
  const struct {
    std::string row;
  } cases[] = {
      {R"({"prompt": "a", "completion": ""})"},
      {R"({"prompt": "a", "completion": "<|im_end|>"})"},
      {R"({"instruction": "a", "output": ""})"},
      {user + R"({"role": "assistant", "content": ""}]})"},
      {R"({"conversations": [{"from": "human", "value": "a"}, {"from": "gpt", "value": ""}]})"},
  };
  const TestModel model = chatml_model();
  for (const auto& c : cases) {
    EXPECT_EQ(load_error(c.row, model.model()),
              "train.jsonl: line 1: the completion is empty: there is nothing to learn but to stop "
              "at once");
    EXPECT_EQ(load_error(c.row + "\n{}\n" + c.row, model.model()),
              "train.jsonl: line 1: the completion is empty, as all are in this file: there is "
              "nothing to learn but to stop at once");
  }
  // Rows left out count no more.
  EXPECT_EQ(load_error(R"({"prompt": "! !", "completion": ""}
{"prompt": "a", "completion": " b"})",
                       model.model(), {.add_eos = false}),
            "");
  // One that is not makes the others worth a note, no more.
  EXPECT_EQ(load_error(R"({"prompt": "a", "completion": ""}
{"prompt": "a", "completion": "b"})",
                       model.model()),
            "");
  EXPECT_EQ(load_error(R"({"prompt": "a b", "completion": ""})", model.model(),
                       {.completion_only_loss = false}),
            "");
}

TEST(SpecialTokensInText, AreLettersOrTokensAsAsked) {
  const std::string templated = R"({"text": "<|im_start|>user\nHi<|im_end|>\n"})";
  const std::string plain = R"({"text": "Hi"})";
  const auto summary = [](const std::string& rows, bool parse) {
    return control_summary(
        load_text(rows, plain_model().model(), {.parse_special_tokens = parse}).report);
  };
  EXPECT_EQ(summary(plain, false), "");
  EXPECT_EQ(summary(plain, true), "");
  EXPECT_EQ(summary(templated + "\n" + templated, true),
            "2 rows spell out control tokens, read as tokens");
  EXPECT_NE(summary(templated + "\n" + plain, false).find("special_tokens_in_text \"parse\""),
            std::string::npos);
  // One in many talks about such tokens.
  EXPECT_EQ(summary(templated + "\n" + plain + "\n" + plain, false),
            "1 row spells out control tokens, read as letters");
  // Rows that spell none are as they were, and so are their bos and eos.
  const TestModel llama3({.style = "llama3_style", .bos = "<|endoftext|>"});
  EXPECT_EQ(learnt_rows(plain, llama3, {.parse_special_tokens = true}), learnt_rows(plain, llama3));
  // An eos is added to what has no end of its own, once.
  const struct {
    std::string row;
    std::vector<i32> end;
  } ends[] = {
      {R"({"text": "<|im_start|>a"})", {2}},
      {R"({"text": "<|im_start|>a<|im_end|>"})", {2}},
      {R"({"text": "<|im_start|>a<|endoftext|>"})", {0}},
      {R"({"prompt": "<|im_start|>a<|im_end|>", "completion": "b"})", {2}},
  };
  for (const auto& c : ends) {
    const Dataset dataset = load_text(c.row, plain_model().model(), {.parse_special_tokens = true});
    const std::vector<i32>& ids = dataset.examples[0].ids;
    EXPECT_EQ(ids.back(), c.end[0]) << c.row;
    EXPECT_FALSE(plain_model().tokenizer.is_special(ids[ids.size() - 2])) << c.row;
  }
}

}  // namespace
}  // namespace inlay
