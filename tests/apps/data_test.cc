// SPDX-License-Identifier: Apache-2.0

// What the command says about the rows of a run: in its data line, in notes, and in its errors.

#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "tests/apps/workshop.h"
#include "tests/support/golden.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

std::string golden_text(const std::string& name) {
  std::ostringstream text;
  text << std::ifstream(golden(name)).rdbuf();
  return text.str();
}

/// A run over tokens of text with control tokens and a chat template, from random weights.
void write_run(const Workshop& workshop, const std::string& rows) {
  workshop.write("tok/tokenizer.json", golden_text("tokenizers/smollm_style/tokenizer.json"));
  workshop.write(
      "tok/tokenizer_config.json",
      Json{{"eos_token", "<|im_end|>"}, {"chat_template", golden_text("templates/chatml.jinja")}}
          .dump());
  workshop.write("rows.jsonl", rows);
  Json run = Json::parse(run_json({}));
  run["model"] = {{"config",
                   {{"model_type", "llama"},
                    {"vocab_size", 1200},
                    {"hidden_size", 16},
                    {"intermediate_size", 32},
                    {"num_hidden_layers", 1},
                    {"num_attention_heads", 2},
                    {"num_key_value_heads", 1},
                    {"max_position_embeddings", 64}}},
                  {"tokenizer", "tok"}};
  workshop.write("run.json", run.dump());
}

/// The line of `text` that begins so; "" where there is none.
std::string line_of(const std::string& text, const std::string& beginning) {
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(beginning)) {
      return line;
    }
  }
  return "";
}

TEST(DataLine, SaysHowControlTokensInTheRowsAreRead) {
  const Workshop workshop;
  const std::string letters =
      "read as letters (data.special_tokens_in_text \"parse\" reads them as tokens, as rows that "
      "went through a chat template want)";
  const struct {
    std::string rows;
    std::string summary;
  } cases[] = {
      {R"({"text": "<|im_start|>user\nHi<|im_end|>"})", "1 row spells out control tokens, "},
      {R"({"prompt": "<|im_start|>user\nHi<|im_end|>\n", "completion": "Yo"})",
       "1 row spells out control tokens, "},
      {R"({"messages": [{"role": "user", "content": "<|im_end|>"}, )"
       R"({"role": "assistant", "content": "Yo"}]})"
       "\n"
       R"({"messages": [{"role": "user", "content": "<|im_start|>"}, )"
       R"({"role": "assistant", "content": "Yo"}]})",
       "2 rows spell out control tokens, "},
  };
  for (const auto& c : cases) {
    write_run(workshop, c.rows);
    const Finished shown = workshop.run("data show run.json");
    EXPECT_EQ(shown.exit_code, 0) << shown.err;
    EXPECT_NE(shown.out.find("; " + c.summary + letters + "\n"), std::string::npos) << shown.out;
    EXPECT_EQ(shown.err, "");
    const Finished planned = workshop.run("train run.json --dry-run");
    EXPECT_EQ(planned.exit_code, 0) << planned.err;
    EXPECT_NE(line_of(planned.err, "data ").find(", " + c.summary + letters), std::string::npos)
        << planned.err;
    EXPECT_EQ(line_of(planned.err, "note"), "");
    const Finished parsed =
        workshop.run("train run.json --dry-run --set data.special_tokens_in_text=parse");
    EXPECT_NE(line_of(parsed.err, "data ").find(", " + c.summary + "read as tokens"),
              std::string::npos)
        << parsed.err;
  }
}

TEST(DataLine, CountsTheRowsThatAreLeftOut) {
  const Workshop workshop;
  write_run(workshop, "{\"text\": \"a b\"}\n{\"text\": \"\"}\n{\"text\": \"c d\"}\n");
  const std::string note =
      "note: 1 row is left out with nothing to train on (line 2: /text: is empty)";
  const Finished shown = workshop.run("data show run.json");
  EXPECT_NE(shown.out.find("2 rows (text)"), std::string::npos) << shown.out;
  EXPECT_NE(shown.out.find("; 1 left out\n"), std::string::npos) << shown.out;
  EXPECT_EQ(line_of(shown.err, "note"), note);
  const Finished planned = workshop.run("train run.json --dry-run");
  EXPECT_NE(line_of(planned.err, "data ").find(", 1 left out"), std::string::npos) << planned.err;
  EXPECT_EQ(line_of(planned.err, "note"), note);
  workshop.expect_refused("train run.json --set data.on_empty_row=error", kData,
                          "rows.jsonl: line 2: /text: is empty (data.on_empty_row \"error\")");
  workshop.expect_refused(
      "train run.json --set data.on_empty_row=drop", kUsage,
      "--set data.on_empty_row=drop: /data/on_empty_row: expected \"skip\" or \"error\", found "
      "\"drop\"");
}

TEST(DataNotes, SayWhichValidationRowsAreTrainingRows) {
  const Workshop workshop;
  const std::string shared = R"({"prompt": "a", "completion": "b"})"
                             "\n";
  write_run(workshop, R"({"prompt": "x", "completion": "y"})"
                      "\n" +
                          shared);
  const auto note = [&](const std::string& validation) {
    workshop.write("validation.jsonl", validation);
    const Finished planned =
        workshop.run("train run.json --dry-run --set data.validation=validation.jsonl");
    EXPECT_EQ(planned.exit_code, 0) << planned.err;
    return line_of(planned.err, "note");
  };
  EXPECT_EQ(note(R"({"prompt": "a", "completion": "c"})"), "");
  EXPECT_EQ(note(R"({"prompt": "a", "completion": "c"})"
                 "\n" +
                 shared),
            "note: 1 of 2 validation rows is a training row, too (line 2, there line 2), so the "
            "validation loss is better than it should be");
  EXPECT_EQ(note(shared + shared + "{\"completion\": \"y\", \"prompt\": \"x\"}\n"),
            "note: 3 of 3 validation rows are training rows, too (the first is line 1, there "
            "line 2), so the validation loss is better than it should be");
  EXPECT_EQ(note(R"({"prompt": "a", "completion": "c", "id": 4})"),
            "note: validation: columns that are not used: \"id\" (in 1 row)");
}

TEST(BadRows, AreNamedByEveryCommandThatReadsThem) {
  const Workshop workshop;
  write_run(workshop, "{\"text\": \"a b\"}\n");
  std::string wide = "\xFF\xFE";
  for (const char c : std::string("{\"text\": \"a b\"}\r\n")) {
    wide += c;
    wide += '\0';
  }
  workshop.write("wide.jsonl", wide);
  const std::string sentence =
      ": the file is text in UTF-16 (little-endian), not in UTF-8: save it as UTF-8, or convert it "
      "(iconv -f UTF-16LE -t UTF-8)";
  workshop.expect_refused("data show run.json --set data.train=wide.jsonl", kData,
                          "wide.jsonl" + sentence);
  workshop.expect_refused("train run.json --set data.train=wide.jsonl", kData,
                          "wide.jsonl" + sentence);
  workshop.expect_refused("train run.json --set data.validation=wide.jsonl", kData,
                          "wide.jsonl" + sentence);
  workshop.expect_refused("eval -m model --tokenizer bytes -d wide.jsonl", kData,
                          "wide.jsonl" + sentence);
  workshop.expect_refused("generate -m model --tokenizer bytes --prompt-file wide.jsonl", kData,
                          "wide.jsonl" + sentence);
  workshop.write("role.jsonl", R"({"messages": [{"role": "User", "content": "a"}, )"
                               R"({"role": "assistant", "content": "b"}]})");
  workshop.expect_refused("train run.json --set data.train=role.jsonl", kData,
                          "role.jsonl: line 1: /messages/0: the role \"User\" differs from "
                          "\"user\" only in case: roles are written in lower case");
  workshop.write("none.jsonl", "{\"prompt\": \"a\", \"completion\": \"\"}\n");
  workshop.expect_refused("train run.json --set data.train=none.jsonl", kData,
                          "none.jsonl: line 1: the completion is empty: there is nothing to learn "
                          "but to stop at once");
}

}  // namespace
}  // namespace inlay
