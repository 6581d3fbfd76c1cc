// SPDX-License-Identifier: Apache-2.0
#include "data/dataset/dataset.h"

#include <gtest/gtest.h>

#include "tests/data/dataset/fixture.h"

namespace inlay {
namespace {

using Rows = std::vector<std::string>;
using Ids = std::vector<i32>;

const TestModel& smollm() {
  static const TestModel model;
  return model;
}

std::string alpaca_json(const std::string& input) {
  return R"({"instruction": "Add them.", )" + input + R"("output": "5"})";
}

TEST(Dataset, LearnsWhatTheFormatSays) {
  const std::string without_input =
      "Below is an instruction that describes a task. Write a response that appropriately "
      "completes the request.\n\n### Instruction:\nAdd them.\n\n### Response:[5<|im_end|>]";
  const std::string with_input =
      "Below is an instruction that describes a task, paired with an input that provides further "
      "context. Write a response that appropriately completes the request.\n\n### "
      "Instruction:\nAdd them.\n\n### Input:\n2 and 3\n\n### Response:[5<|im_end|>]";
  const struct {
    std::string row;
    const char* format;
    std::string learnt;
  } cases[] = {
      {R"({"text": "Hello world"})", "text", "[Hello world<|im_end|>]"},
      {R"({"text": "\n"})", "text", "[\n<|im_end|>]"},
      {R"({"id": 7, "text": "Hello"})", "text", "[Hello<|im_end|>]"},
      {R"({"prompt": "Q: 1\nA:", "completion": " 2"})", "prompt_completion",
       "Q: 1\nA:[ 2<|im_end|>]"},
      {R"({"completion": "b", "prompt": "a"})", "prompt_completion", "a[b<|im_end|>]"},
      {R"({"prompt": "", "completion": "b"})", "prompt_completion", "[b<|im_end|>]"},
      {alpaca_json(""), "alpaca", without_input},
      {alpaca_json(R"("input": "", )"), "alpaca", without_input},
      {alpaca_json(R"("input": "2 and 3", )"), "alpaca", with_input},
      {R"({"input_ids": [3, 4, 5]})", "tokens", "[!\"#]"},
      {R"({"input_ids": [3, 4, 5], "labels": [-100, 4, -100]})", "tokens", "![\"]#"},
      {R"({"input_ids": [3, 4], "labels": null, "attention_mask": [1, 1]})", "tokens", "[!\"]"},
  };
  for (const auto& c : cases) {
    const Dataset dataset = load_text(c.row, smollm().model());
    EXPECT_EQ(dataset.format->name, c.format) << c.row;
    ASSERT_EQ(dataset.examples.size(), 1U) << c.row;
    EXPECT_EQ(learnt(dataset.examples[0], smollm().tokenizer), c.learnt);
    // The same by name instead of by the columns.
    const auto by_name =
        load_text(c.row, smollm().model(), {.format = row_format_by_name(c.format)});
    EXPECT_EQ(by_name.examples[0].ids, dataset.examples[0].ids);
    EXPECT_EQ(by_name.examples[0].labels, dataset.examples[0].labels);
  }
}

TEST(Dataset, LearnsThePromptTooWhereAsked) {
  const DatasetOptions options = {.completion_only_loss = false};
  EXPECT_EQ(learnt_rows(R"({"prompt": "a:", "completion": " b"})", smollm(), options),
            Rows{"[a: b<|im_end|>]"});
  EXPECT_EQ(learnt_rows(alpaca_json(""), smollm(), options)[0].substr(0, 6), "[Below");
}

TEST(Dataset, NeverCountsTheFirstToken) {
  const Dataset dataset = load_text(R"({"text": "!!"})", smollm().model(), {.add_eos = false});
  const Example& example = dataset.examples[0];
  EXPECT_EQ(example.labels, example.ids);
  EXPECT_EQ(example.trained(), static_cast<i64>(example.ids.size()) - 1);
  EXPECT_EQ(dataset.report.trained, example.trained());
}

TEST(Dataset, EndsTextAndCompletionsWithEosOnce) {
  const std::string rows = R"({"text": "a"}
{"text": "a<|im_end|>"}
{"text": "a<|im_end|> "}
)";
  EXPECT_EQ(learnt_rows(rows, smollm()),
            (Rows{"[a<|im_end|>]", "[a<|im_end|>]", "[a<|im_end|> <|im_end|>]"}));
  const Dataset dataset = load_text(rows, smollm().model());
  EXPECT_EQ(dataset.examples[0].ids, dataset.examples[1].ids);
  EXPECT_EQ(dataset.examples[1].ids.back(), 2);
  EXPECT_EQ(std::count(dataset.examples[2].ids.begin(), dataset.examples[2].ids.end(), 2), 1);
}

TEST(Dataset, AddsNoEosWhereNotAskedButReadsOneThatIsSpeltOut) {
  const DatasetOptions options = {.add_eos = false};
  const std::string rows = R"({"prompt": "a", "completion": " b c"}
{"prompt": "a", "completion": " b<|im_end|>"}
{"prompt": "a<|im_end|>", "completion": " b"}
)";
  EXPECT_EQ(learnt_rows(rows, smollm(), options),
            (Rows{"a[ b c]", "a[ b<|im_end|>]", "a<|im_end|>[ b]"}));
  const Dataset dataset = load_text(rows, smollm().model(), options);
  EXPECT_EQ(dataset.examples[1].ids.back(), 2);
  for (const i32 id : dataset.examples[2].ids) {
    EXPECT_FALSE(smollm().tokenizer.is_special(id));
  }
}

TEST(Dataset, PutsBosWhereTheTokenizerPutsIt) {
  const TestModel llama3({.style = "llama3_style", .bos = "<|endoftext|>"});
  EXPECT_EQ(learnt_rows(R"({"prompt": "a", "completion": " b"})", llama3),
            Rows{"<|endoftext|>a[ b<|im_end|>]"});
  EXPECT_EQ(learnt_rows(R"({"text": "a"})", llama3), Rows{"[<|endoftext|>a<|im_end|>]"});
  // Nothing can be told of the first token, but an empty prompt leaves one to begin with.
  EXPECT_EQ(load_text(R"({"prompt": "", "completion": "b"})", llama3.model()).report.trained, 2);
}

TEST(Dataset, KeepsControlTokensSpeltByUsersPlain) {
  const std::string row =
      R"({"prompt": "<|im_start|>a<|im_end|>", "completion": "<|endoftext|>b<|im_end|>c"})";
  const Dataset dataset = load_text(row, smollm().model());
  const Ids& ids = dataset.examples[0].ids;
  EXPECT_EQ(std::count_if(ids.begin(), ids.end(),
                          [](i32 id) { return smollm().tokenizer.is_special(id); }),
            1);
  EXPECT_EQ(ids.back(), 2);
  EXPECT_EQ(smollm().tokenizer.decode(ids),
            "<|im_start|>a<|im_end|><|endoftext|>b<|im_end|>c<|im_end|>");
  EXPECT_TRUE(dataset.report.notes.empty());
  EXPECT_EQ(control_summary(dataset.report),
            "1 row spells out control tokens, read as letters (data.special_tokens_in_text "
            "\"parse\" reads them as tokens, as rows that went through a chat template want)");
}

TEST(Dataset, EncodesAPromptAsIfItStoodAlone) {
  // Encoded in one, the line end and the word would not be split where the prompt ends: GPT-2's
  // expression leaves the last of several line ends to what follows.
  const std::string prompt = "Answer:\n\n";
  const TestModel gpt2({.style = "gpt2_style"});
  const Dataset dataset =
      load_text(R"({"prompt": "Answer:\n\n", "completion": "Yes"})", gpt2.model());
  const Ids alone = gpt2.tokenizer.encode(prompt);
  const Ids& ids = dataset.examples[0].ids;
  ASSERT_GT(ids.size(), alone.size());
  EXPECT_EQ(Ids(ids.begin(), ids.begin() + static_cast<i64>(alone.size())), alone);
  const Ids in_one = gpt2.tokenizer.encode(prompt + "Yes");
  EXPECT_NE(Ids(in_one.begin(), in_one.begin() + static_cast<i64>(alone.size())), alone);
  EXPECT_EQ(learnt(dataset.examples[0], gpt2.tokenizer), "Answer:\n\n[Yes<|im_end|>]");
}

TEST(Dataset, ReadsBytesWithoutAnEosAndSaysSo) {
  const Tokenizer bytes = byte_tokenizer();
  const Dataset dataset =
      load_text(R"({"prompt": "a", "completion": "bc"})", {.tokenizer = &bytes});
  EXPECT_EQ(dataset.examples[0].ids, (Ids{'a', 'b', 'c'}));
  EXPECT_EQ(dataset.examples[0].labels, (Ids{kIgnoreLabel, 'b', 'c'}));
  EXPECT_EQ(dataset.report.notes,
            Rows{"1 row (in line 1) has no end-of-sequence token at the end: the tokenizer has "
                 "none"});
  const auto quiet = load_text(R"({"text": "ab"})", {.tokenizer = &bytes}, {.add_eos = false});
  EXPECT_TRUE(quiet.report.notes.empty());
}

TEST(Dataset, ReadsTokensWithoutATokenizer) {
  const Dataset dataset = load_text(
      "{\"input_ids\": [0, 9, 2]}\n\n{\"input_ids\": [7, 9], "
      "\"labels\": [5, 8]}",
      {.vocab_size = 10});
  ASSERT_EQ(dataset.examples.size(), 2U);
  EXPECT_EQ(dataset.examples[0].labels, (Ids{0, 9, 2}));
  EXPECT_EQ(dataset.examples[1].ids, (Ids{7, 9}));
  EXPECT_EQ(dataset.examples[1].labels, (Ids{5, 8}));
  EXPECT_EQ(dataset.examples[0].line, 1);
  EXPECT_EQ(dataset.examples[1].line, 3);
}

TEST(Dataset, ReadsArraysAndPlainText) {
  const std::string array = "[\n" + alpaca_json("") + ",\n" + alpaca_json("") + "\n]\n";
  const Dataset dataset = load_text(array, smollm().model(), {}, "alpaca.json");
  EXPECT_EQ(dataset.format->name, "alpaca");
  ASSERT_EQ(dataset.examples.size(), 2U);
  EXPECT_EQ(dataset.examples[0].ids, dataset.examples[1].ids);
  EXPECT_EQ(dataset.examples[1].line, 3);
  EXPECT_EQ(learnt_rows("one\n\n{\"text\": 2}\r\n", smollm(), {}, "corpus.txt"),
            (Rows{"[one<|im_end|>]", "[{\"text\": 2}<|im_end|>]"}));
}

TEST(Dataset, CutsLongRowsAtTheEndThatIsAskedFor) {
  const std::string rows = R"({"input_ids": [1, 2, 3, 4, 5, 6]}
{"input_ids": [1, 2, 3, 4, 5, 6], "labels": [-100, 2, -100, -100, 5, -100]}
{"input_ids": [7, 8, 9, 10]}
)";
  const struct {
    Truncation truncation;
    std::vector<Ids> ids;
    std::vector<Ids> labels;
    i64 trained;
  } cases[] = {
      {Truncation::kKeepStart,
       {{1, 2, 3, 4}, {1, 2, 3, 4}, {7, 8, 9, 10}},
       {{1, 2, 3, 4}, {-100, 2, -100, -100}, {7, 8, 9, 10}},
       7},
      {Truncation::kKeepEnd,
       {{3, 4, 5, 6}, {3, 4, 5, 6}, {7, 8, 9, 10}},
       {{3, 4, 5, 6}, {-100, -100, 5, -100}, {7, 8, 9, 10}},
       7},
  };
  for (const auto& c : cases) {
    const Dataset dataset = load_text(rows, {}, {.max_length = 4, .truncation = c.truncation});
    for (std::size_t i = 0; i < c.ids.size(); ++i) {
      EXPECT_EQ(dataset.examples[i].ids, c.ids[i]);
      EXPECT_EQ(dataset.examples[i].labels, c.labels[i]);
    }
    EXPECT_EQ(dataset.lengths, (std::vector<i64>{6, 6, 4}));
    EXPECT_EQ(dataset.report.rows, 3);
    EXPECT_EQ(dataset.report.tokens, 12);
    EXPECT_EQ(dataset.report.trained, c.trained);
    EXPECT_EQ(dataset.report.truncated, 2);
    EXPECT_EQ(dataset.report.longest, 6);
    EXPECT_EQ(dataset.report.longest_line, 1);
    EXPECT_TRUE(dataset.report.notes.empty());
  }
  EXPECT_EQ(load_error(rows, {}, {.max_length = 4, .truncation = Truncation::kError}),
            "train.jsonl: line 1: the row has 6 tokens, more than max_length 4 (truncation "
            "\"error\")");
  EXPECT_EQ(load_error(rows, {}, {.max_length = 6, .truncation = Truncation::kError}), "");
}

TEST(Dataset, RefusesRowsThatTeachNothing) {
  const struct {
    std::string row;
    DatasetOptions options;
    std::string error;
  } cases[] = {
      {R"({"text": "!"})",
       {.add_eos = false},
       "nothing to learn: of 1 token none behind the first is to be learnt"},
      {R"({"prompt": "!!", "completion": ""})",
       {.add_eos = false},
       "nothing to learn: of 2 tokens none behind the first is to be learnt"},
      {R"({"input_ids": [1, 2], "labels": [1, -100]})",
       {},
       "nothing to learn: of 2 tokens none behind the first is to be learnt"},
      {R"({"prompt": "! ! ! !", "completion": " !"})",
       {.max_length = 4},
       "nothing to learn within max_length 4: the first 7 of 10 tokens are prompt"},
      {R"({"prompt": "! !", "completion": " !"})",
       {.max_length = 3},
       "nothing to learn within max_length 3: the first 3 of 6 tokens are prompt"},
      {R"({"input_ids": [1, 2, 3, 4], "labels": [1, 2, -100, -100]})",
       {.max_length = 2, .truncation = Truncation::kKeepEnd},
       "nothing to learn in the last 2 of 4 tokens, cut to max_length"},
      {R"({"input_ids": [1, 2, 3, 4], "labels": [1, -100, -100, 4]})",
       {.max_length = 2},
       "nothing to learn in the first 2 of 4 tokens, cut to max_length"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(load_error("\n" + c.row, smollm().model(), c.options),
              "train.jsonl: line 2: " + c.error);
  }
}

TEST(Dataset, SaysWhichRowIsWrongAndWhy) {
  const std::string needed =
      "; needed are for text: \"text\"; prompt_completion: \"prompt\", \"completion\"; messages: "
      "\"messages\"; alpaca: \"instruction\", \"output\"; sharegpt: "
      "\"conversations\"; tokens: \"input_ids\"";
  const struct {
    std::string row;
    std::string error;
  } cases[] = {
      {"3", "a row must be an object, not number"},
      {"{}", "the row has no columns"},
      {R"({"promt": "a", "completion": "b"})",
       "the row has the columns \"promt\", \"completion\", which fit no format (did you mean "
       "\"prompt\" by \"promt\"?)" +
           needed},
      {R"({"dialogue": []})", "the row has the columns \"dialogue\", which fit no format" + needed},
      {R"({"conversations": []})",
       "the row has messages, but the tokenizer has no chat template to put them in"},
      {R"({"prompt": "a", "completion": "b", "text": "ab"})",
       "the row has the columns \"prompt\", \"completion\", \"text\", which fit more than one "
       "format: text and prompt_completion; say which by \"format\""},
      {R"({"text": 5})", "/text: must be a string, not number"},
      {R"({"text": ""})", "/text: is empty"},
      {R"({"prompt": "a", "completion": null})", "/completion: must be a string, not null"},
      {R"({"prompt": ["a"], "completion": "b"})",
       "/prompt and /completion: must both be strings or both lists of messages, not array and "
       "string"},
      {R"({"instruction": "a", "input": {}, "output": "b"})",
       "/input: must be a string, not object"},
      {R"({"instruction": true, "output": "b"})", "/instruction: must be a string, not boolean"},
      {R"({"messages": []})",
       "the row has messages, but the tokenizer has no chat template to put them in"},
      {R"({"input_ids": "1 2"})", "/input_ids: must be a list of token ids, not string"},
      {R"({"input_ids": []})", "/input_ids: is empty"},
      {R"({"input_ids": [1, 1200]})", "/input_ids/1: must be a token id from 0 to 1199, not 1200"},
      {R"({"input_ids": [1, -1]})", "/input_ids/1: must be a token id from 0 to 1199, not -1"},
      {R"({"input_ids": [-100]})", "/input_ids/0: must be a token id from 0 to 1199, not -100"},
      {R"({"input_ids": [1.5]})", "/input_ids/0: must be a token id from 0 to 1199, not 1.5"},
      {R"({"input_ids": [true]})", "/input_ids/0: must be a token id from 0 to 1199, not true"},
      {R"({"input_ids": [18446744073709551615]})",
       "/input_ids/0: must be a token id from 0 to 1199, not 18446744073709551615"},
      {R"({"input_ids": [1], "labels": [-1]})",
       "/labels/0: must be a token id from 0 to 1199, or -100, not -1"},
      {R"({"input_ids": [1], "labels": [1, 2]})",
       "/labels: there must be as many as input_ids (1), not 2"},
      {R"({"input_ids": [1, 0], "attention_mask": [1, 0]})",
       "/attention_mask: hides tokens, which is not supported; leave out padding instead"},
      {R"({"input_ids": [1, 0], "completion_mask": [1, 0]})",
       "/completion_mask: is not read; say what is to be learnt by \"labels\", -100 elsewhere"},
  };
  DatasetModel model = smollm().model();
  model.vocab_size = 1200;
  for (const auto& c : cases) {
    EXPECT_EQ(load_error("\n" + c.row, model), "train.jsonl: line 2: " + c.error) << c.row;
  }
}

TEST(Dataset, PointsAtBrokenJson) {
  const struct {
    std::string text;
    std::string error;
  } cases[] = {
      {"{\"text\": \"a\"}\n{\"text\": }", "train.jsonl: line 2, column 10: syntax error"},
      {"{\"text\": \"a\xff\"}", "train.jsonl: line 1, column 12: syntax error"},
      {"{\"text\": \"\\ud800\"}", "train.jsonl: line 1, column 17: syntax error"},
      {"{\"text\": \"a\"} {}", "train.jsonl: line 1, column 15: syntax error"},
      {"{\"text\": \"a\", \"text\": \"b\"}", "train.jsonl: line 1, column 15: key \"text\" is"},
      {"[{\"text\": \"a\"},\n {\"text\": \"a\",}]", "train.jsonl: line 2, column 15: syntax error"},
      {"{\n  \"text\": \"a\"\n}", "train.jsonl: line 1, column 2: syntax error"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(load_error(c.text, smollm().model()).substr(0, c.error.size()), c.error) << c.text;
  }
  EXPECT_EQ(load_error("ok\na\xffz", smollm().model(), {}, "a.txt"),
            "a.txt: line 2: text: byte 0xff at offset 1 is not UTF-8");
}

TEST(Dataset, RefusesARowOfAnotherFormatThanTheFirst) {
  EXPECT_EQ(load_error("{\"prompt\": \"a\", \"completion\": \"b\"}\n{\"prompt\": \"a\", "
                       "\"completions\": \"b\"}",
                       smollm().model()),
            "train.jsonl: line 2: format prompt_completion needs a column \"completion\", but the "
            "row has the columns \"prompt\", \"completions\" (did you mean \"completion\" by "
            "\"completions\"?)");
  EXPECT_EQ(
      load_error("{\"text\": \"a\"}", smollm().model(), {.format = row_format_by_name("messages")}),
      "train.jsonl: line 1: format messages needs a column \"messages\", but the row has "
      "the columns \"text\"");
}

TEST(Dataset, RefusesOptionsThatDoNotFit) {
  const std::string text = R"({"text": "a"})";
  const std::string alpaca = alpaca_json("");
  const std::string pair = R"({"prompt": "a", "completion": "b"})";
  const DatasetOptions completion_only = {.completion_only_loss = true};
  const DatasetOptions assistant_only = {.assistant_only_loss = true};
  EXPECT_EQ(load_error(text, smollm().model(), completion_only),
            "train.jsonl: completion_only_loss is true, but rows of format text have no "
            "completion; it is for prompt_completion and alpaca");
  EXPECT_EQ(load_error(alpaca, smollm().model(), assistant_only),
            "train.jsonl: assistant_only_loss is true, but rows of format alpaca have no messages; "
            "it is for messages, sharegpt and prompt_completion");
  EXPECT_EQ(load_error(pair, smollm().model(), assistant_only),
            "train.jsonl: line 1: assistant_only_loss is true, but prompt and completion are not "
            "messages");
  EXPECT_EQ(load_error("a", smollm().model(), {.format = row_format_by_name("alpaca")}, "a.txt"),
            "a.txt: a .txt file has a text a line, which is format text, not alpaca");
  EXPECT_EQ(load_error(text, {}),
            "train.jsonl: rows of format text need a tokenizer; without one only rows of tokens "
            "can be read");
  for (const std::string& row : {alpaca, pair}) {
    EXPECT_EQ(load_error(row, smollm().model(), completion_only), "");
  }
  EXPECT_THROW(load_text(text, smollm().model(), completion_only), ConfigError);
}

TEST(Dataset, RefusesFilesWithoutRows) {
  for (const std::string text : {"", "\n \n", "[]"}) {
    EXPECT_EQ(load_error(text, smollm().model()), "train.jsonl: there are no rows in it");
  }
  EXPECT_THROW(load_dataset("no/such/file.jsonl", {}, {}), IoError);
}

TEST(Dataset, RefusesTokensOutsideOfTheModelsVocabulary) {
  DatasetModel model = smollm().model();
  model.vocab_size = 30;
  EXPECT_EQ(load_error("{\"text\": \"!\"}\n{\"text\": \"!A\"}", model),
            "train.jsonl: line 2: token 35 (\"A\") is not in the model's vocabulary of 30, which "
            "ends before the tokenizer's");
}

TEST(Dataset, NotesEmptyCompletionsByTheirFirstLine) {
  const Dataset dataset = load_text(R"({"prompt": "a", "completion": "b"}
{"prompt": "a", "completion": ""}
{"prompt": "a", "completion": "<|im_end|>"})",
                                    smollm().model());
  EXPECT_EQ(dataset.report.notes, Rows{"2 rows (the first in line 2) have an empty completion, "
                                       "which teaches to stop at once"});
}

TEST(Dataset, KnowsItsNames) {
  EXPECT_EQ(row_format_by_name("auto"), nullptr);
  for (const char* name :
       {"text", "prompt_completion", "messages", "alpaca", "sharegpt", "tokens"}) {
    EXPECT_EQ(row_format_by_name(name)->name, name);
  }
  EXPECT_EQ(find_choice<EmptyRows>("skip"), EmptyRows::kSkip);
  EXPECT_EQ(find_choice<EmptyRows>("error"), EmptyRows::kError);
  EXPECT_EQ(find_choice<EmptyRows>("drop"), std::nullopt);
  EXPECT_EQ(find_choice<Truncation>("keep_start"), Truncation::kKeepStart);
  EXPECT_EQ(find_choice<Truncation>("keep_end"), Truncation::kKeepEnd);
  EXPECT_EQ(find_choice<Truncation>("error"), Truncation::kError);
  const auto error_of = [](const auto& run) -> std::string {
    try {
      run();
    } catch (const ConfigError& error) {
      return error.what();
    }
    return "";
  };
  EXPECT_EQ(error_of([] { row_format_by_name("mesages"); }),
            "there is no data format \"mesages\" (did you mean \"messages\"?); there are \"auto\", "
            "\"text\", \"prompt_completion\", \"messages\", \"alpaca\", \"sharegpt\", \"tokens\"");
}

TEST(Dataset, ReadsTheSampleDataInFull) {
  const Dataset dataset =
      load_dataset(INLAY_SOURCE_DIR "/data/samples/train.jsonl", {}, smollm().model());
  EXPECT_EQ(dataset.format->name, "prompt_completion");
  EXPECT_EQ(dataset.report.rows, static_cast<i64>(dataset.examples.size()));
  i64 tokens = 0;
  i64 trained = 0;
  for (const Example& example : dataset.examples) {
    tokens += static_cast<i64>(example.ids.size());
    trained += example.trained();
  }
  EXPECT_EQ(dataset.report.tokens, tokens);
  EXPECT_EQ(dataset.report.trained, trained);
  EXPECT_EQ(dataset.report.truncated, 0);
  EXPECT_TRUE(dataset.report.notes.empty());
}

}  // namespace
}  // namespace inlay
