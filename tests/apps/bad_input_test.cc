// SPDX-License-Identifier: Apache-2.0

// Command lines that cannot be carried out: exit code 2 where the line itself is wrong, 4 where a
// file it names is; one sentence, and nothing written.

#include <gtest/gtest.h>

#include <span>

#include "tests/apps/workshop.h"

namespace inlay {
namespace {

struct BadCommand {
  std::string arguments;
  ExitCode code;
  std::string sentence;
};

void expect_all_refused(const Workshop& workshop, std::span<const BadCommand> cases) {
  for (const BadCommand& c : cases) {
    workshop.expect_refused(c.arguments, c.code, c.sentence);
  }
}

TEST(BadInput, CommandsAndOptionsAreNamedWithTheNearestOne) {
  const BadCommand cases[] = {
      {"trian", kUsage, R"(unknown command "trian" (did you mean "train"?); see inlay --help)"},
      {"--bogus", kUsage, R"(unknown command "--bogus"; see inlay --help)"},
      {"config chek", kUsage,
       R"(config: unknown command "chek" (did you mean "check"?); there are: init, check, show, )"
       "schema"},
      {"data shw run.json", kUsage,
       R"(data: unknown command "shw" (did you mean "show"?); there is: show)"},
      {"train run.json --overwrit", kUsage,
       R"(train: unknown option "--overwrit" (did you mean "--overwrite"?) (see inlay train )"
       "--help)"},
      {"train run.json extra", kUsage,
       R"(train: unexpected argument "extra" (see inlay train --help))"},
      {"train", kUsage, "train: RUN.json is required (see inlay train --help)"},
      {"eval", kUsage, "eval: --model is required (see inlay eval --help)"},
      {"eval -m model", kUsage, "eval: --data is required (see inlay eval --help)"},
      {"merge -m model -a adapter", kUsage, "merge: --out is required (see inlay merge --help)"},
      {"logits -m model", kUsage, "logits: --ids is required (see inlay logits --help)"},
      {"inspect", kUsage, "inspect: PATH is required (see inlay inspect --help)"},
      {"data show", kUsage, "data show: RUN.json is required (see inlay data show --help)"},
      {"config show", kUsage, "config show: give a run config, or --keys"},
      {"config init run.json", kUsage,
       "run.json: there is such a file already (--overwrite replaces it)"},
      {"config init no/run.json", kData, "no/run.json: cannot create: there is no folder no"},
  };
  expect_all_refused(Workshop(), cases);
}

TEST(BadInput, NumbersAreReadWholeAndHeldAgainstTheirRange) {
  const std::string generate = "generate -m model --tokenizer bytes --prompt x ";
  const std::string eval = "eval -m model --tokenizer bytes -d rows.jsonl ";
  const BadCommand cases[] = {
      {"train run.json --max-steps x", kUsage,
       R"(--max-steps: expected a whole number, found "x")"},
      {"train run.json --max-steps 3x", kUsage,
       R"(--max-steps: expected a whole number, found "3x")"},
      {"train run.json --max-steps 1.5", kUsage,
       R"(--max-steps: expected a whole number, found "1.5")"},
      {"train run.json --max-steps", kUsage,
       "train: --max-steps needs a value (see inlay train --help)"},
      {"train run.json --set", kUsage, "train: --set needs a value (see inlay train --help)"},
      {eval + "--max-length 99999999999999999999", kUsage,
       R"(--max-length: expected a whole number, found "99999999999999999999")"},
      {eval + "--max-length 1", kUsage, "--max-length: expected at least 2, found 1"},
      {eval + "--batch-size 0", kUsage, "--batch-size: expected at least 1, found 0"},
      {eval + "--show -1", kUsage, "--show: expected at least 0, found -1"},
      {eval + "--threads -2", kUsage, "--threads: expected at least 0, found -2"},
      {"data show run.json -n -3", kUsage, "--rows: expected at least 0, found -3"},
      {generate + "-n 0", kUsage, "--max-new-tokens: expected at least 1, found 0"},
      {generate + "-n -1", kUsage, "--max-new-tokens: expected at least 1, found -1"},
      {generate + "--temperature -1", kUsage, "--temperature: expected a number from 0, found -1"},
      {generate + "--temperature nan", kUsage,
       "--temperature: expected a number from 0, found nan"},
      {generate + "--temperature inf", kUsage,
       "--temperature: expected a number from 0, found inf"},
      {generate + "--temperature warm", kUsage,
       R"(--temperature: expected a number, found "warm")"},
      {generate + "--top-p 0", kUsage, "--top-p: expected a number above 0 and up to 1, found 0"},
      {generate + "--top-p 2", kUsage, "--top-p: expected a number above 0 and up to 1, found 2"},
      {generate + "--top-k -1", kUsage, "--top-k: expected at least 0, found -1"},
      {generate + "--seed -1", kUsage, "--seed: expected at least 0, found -1"},
      {"chat -m model --tokenizer bytes --context 10", kUsage,
       "--context: expected more than --max-new-tokens, 256, found 10"},
  };
  expect_all_refused(Workshop(), cases);
}

TEST(BadInput, ChoicesAreListed) {
  const BadCommand cases[] = {
      {"eval -m model -d rows.jsonl --metric acc", kUsage,
       R"(--metric: expected loss or exact_match, found "acc")"},
      {"eval -m model -d rows.jsonl --format xx", kUsage,
       R"(there is no data format "xx"; there are "auto", "text", …)"},
      {"eval -m model -d rows.jsonl --special-tokens-in-text pars", kUsage,
       R"(--special-tokens-in-text: expected literal or parse, found "pars")"},
      {"eval -m model -d rows.jsonl --dtype f61", kUsage,
       R"(--dtype: expected one of auto, f32, bf16, found "f61" (did you mean "f32"?))"},
      {"generate -m model --prompt x --attn-implementation flash", kUsage,
       R"(--attn-implementation: expected one of tiled, reference, found "flash")"},
      {"merge -m model -a adapter -o out --dtype f8", kUsage,
       R"(--dtype: expected auto, f32, bf16 or f16, found "f8")"},
      {"merge -m model -a adapter -o out --dtype i8", kUsage,
       R"(--dtype: expected auto, f32, bf16 or f16, found "i8")"},
  };
  expect_all_refused(Workshop(), cases);
}

TEST(BadInput, GenerateSaysWhatAPromptNeeds) {
  const Workshop workshop;
  workshop.write("empty.txt", "");
  const BadCommand cases[] = {
      {"generate -m model", kUsage, "generate: give one of --prompt and --prompt-file"},
      {"generate -m model --prompt x --prompt-file run.json", kUsage,
       "generate: give one of --prompt and --prompt-file"},
      {"generate -m model --prompt x", kUsage,
       "model: a prompt needs a tokenizer, and this model has none (--tokenizer names one, in a "
       "run "
       "config model.tokenizer)"},
      {"generate -m model --tokenizer bytes --prompt x --chat", kUsage,
       "model: this model has no chat template (see --chat-template)"},
      {"generate -m model --tokenizer bytes --prompt-file none", kData,
       "none: cannot open: no such file or directory"},
      {"generate -m model --tokenizer bytes --prompt-file empty.txt", kUsage,
       "generate: the prompt has no tokens"},
      {"generate -m none --prompt x", kData,
       "none: there is no such folder or file, nor a model of this name in no-cache"},
      {"chat -m model --tokenizer bytes", kUsage,
       "model: this model has no chat template (see --chat-template)"},
  };
  expect_all_refused(workshop, cases);
  workshop.expect_refused({"generate", "-m", "model", "--tokenizer", "bytes", "-p", "a\xFF"}, kData,
                          "text: byte 0xff at offset 1 is not UTF-8");
}

TEST(BadInput, EvalAndMergeSayWhatTheyMissOrWouldReplace) {
  const BadCommand cases[] = {
      {"eval -m model -d none.jsonl", kData, "none.jsonl: there is no such data file"},
      {"eval -m rows.jsonl -d rows.jsonl", kData,
       "rows.jsonl: expected a model folder (config.json and model.safetensors) or a .gguf file"},
      {"merge -m none -a adapter -o out", kData,
       "none: there is no such folder or file, nor a model of this name in no-cache"},
      {"merge -m model -a none -o out", kData, "none: there is no such adapter folder"},
      {"merge -m model -a adapter -o rows.jsonl", kUsage,
       "rows.jsonl: already there, and not a folder; choose another --out"},
      {"merge -m model -a adapter -o adapter", kUsage,
       "adapter: this would be replaced, and it is or holds the adapter, adapter; choose another "
       "--out"},
      {"merge -m model -a adapter -o ./model --overwrite", kUsage,
       "./model: this would be replaced, and it is or holds the model, model; choose another "
       "--out"},
  };
  expect_all_refused(Workshop(), cases);
}

TEST(BadInput, LogitsNameTheIdThatIsNone) {
  struct Row {
    std::string json, sentence;  // behind "ids.json: "
  };
  const Row rows[] = {
      {R"({"input_ids": [[1, 300]]})", "/input_ids/0/1: expected an id from 0 to 255, found 300"},
      {R"({"input_ids": [[-1]]})", "/input_ids/0/0: expected an id from 0 to 255, found -1"},
      {R"({"input_ids": [[1.5]]})", "/input_ids/0/0: expected an id from 0 to 255, found 1.5"},
      {R"({"input_ids": [[18446744073709551615]]})",
       "/input_ids/0/0: expected an id from 0 to 255, found 18446744073709551615"},
      {R"({"input_ids": [[1, 2], [1]]})",
       "/input_ids/1: expected a list of ids, at least one and as many in every row"},
      {R"({"input_ids": [[]]})",
       "/input_ids/0: expected a list of ids, at least one and as many in every row"},
      {R"({"input_ids": [1, 2]})",
       "/input_ids/0: expected a list of ids, at least one and as many in every row"},
      {R"({"input_ids": []})", R"(expected {"input_ids": [[…], …]})"},
      {R"({"ids": [[1]]})", R"(expected {"input_ids": [[…], …]})"},
      {"[[1]]", R"(expected {"input_ids": [[…], …]})"},
      {"{",
       "line 1, column 2: syntax error while parsing object key - unexpected end of input; "
       "expected "
       "string literal"},
  };
  const Workshop workshop;
  for (const Row& row : rows) {
    workshop.write("ids.json", row.json);
    workshop.expect_refused("logits -m model --ids ids.json -o out.safetensors", kData,
                            "ids.json: " + row.sentence);
  }
  const BadCommand places[] = {
      {"logits -m model --ids none -o out.safetensors", kData, "none: there is no such file"},
      {"logits -m model --ids ids.json -o model", kData,
       "model: cannot create: a folder has this name"},
      {"logits -m model --ids ids.json -o no/out.safetensors", kData,
       "no/out.safetensors: cannot create: there is no folder no"},
  };
  expect_all_refused(workshop, places);
}

TEST(BadInput, TokenizeSaysWhatItNeeds) {
  const Workshop workshop;
  workshop.write("object.json", R"({"a": 1})");
  workshop.write("mixed.json", R"(["a", 1])");
  const std::string one_text = "tokenize: give one of TEXT and --file";
  const std::string one_tokenizer = "tokenize: give one of --model and --tokenizer";
  const BadCommand cases[] = {
      {"tokenize hi", kUsage, one_tokenizer},
      {"tokenize --tokenizer bytes -m model hi", kUsage, one_tokenizer},
      {"tokenize --tokenizer bytes", kUsage, one_text},
      {"tokenize --tokenizer bytes hi --file run.json", kUsage, one_text},
      {"tokenize --tokenizer none hi", kData, "none: there is no such tokenizer file or folder"},
      {"tokenize --tokenizer bytes --file none", kData,
       "none: cannot open: no such file or directory"},
      {"tokenize --tokenizer bytes --json --file object.json", kData,
       "object.json: expected a JSON array of strings"},
      {"tokenize --tokenizer bytes --json --file mixed.json", kData,
       "mixed.json: entry 1: expected a string, found 1"},
  };
  expect_all_refused(workshop, cases);
}

TEST(BadInput, InspectSaysWhatItReads) {
  const Workshop workshop;
  workshop.write("folder/x", "x");
  workshop.write("empty.safetensors", "");
  const BadCommand cases[] = {
      {"inspect none", kData, "none: there is no such file or folder"},
      {"inspect folder", kData, "folder: neither a model, an adapter, a checkpoint nor a run"},
      {"inspect rows.jsonl", kData,
       "rows.jsonl: expected a .gguf or .safetensors file, or a folder"},
      {"inspect empty.safetensors", kData,
       "empty.safetensors: not a safetensors file: 0 bytes, fewer than the 8 of the header's "
       "length"},
  };
  expect_all_refused(workshop, cases);
}

TEST(BadInput, WithoutACommandTheHelpIsShown) {
  for (const char* command : {"", "config"}) {
    const Finished finished = Workshop().run(command);
    EXPECT_EQ(finished.exit_code, 2);
    EXPECT_NE(finished.out.find("Usage: inlay"), std::string::npos);
    EXPECT_EQ(finished.err, "");
  }
}

}  // namespace
}  // namespace inlay
