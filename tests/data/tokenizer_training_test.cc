// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <filesystem>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/file_system.h"
#include "core/parallel.h"
#include "data/tokenizer/load.h"
#include "data/tokenizer_training/bpe_trainer.h"
#include "data/tokenizer_training/train_tokenizer.h"
#include "tests/data/pieces.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

/// The merges of a text's words, each so often: "a b, ab c". Pieces are printed as they are spelt.
std::string merges_of(const std::vector<std::pair<std::string, i64>>& words, i64 merges,
                      i64 min_frequency = 0) {
  WordCounts counts;
  for (const auto& [word, count] : words) {
    counts.add(word, count);
  }
  const TrainedBpe trained =
      train_bpe(counts, {.vocab_size = 256 + merges, .min_frequency = min_frequency});
  std::string out;
  for (const auto& [left, right] : trained.merges) {
    out += (out.empty() ? "" : ", ") + trained.pieces[static_cast<std::size_t>(left)] + ' ' +
           trained.pieces[static_cast<std::size_t>(right)];
  }
  return out;
}

TEST(BpeTrainer, MergesTheMostFrequentPair) {
  EXPECT_EQ(merges_of({{"low", 5}, {"lower", 2}, {"newest", 6}, {"widest", 3}}, 5),
            "e s, es t, l o, lo w, e w");
}

TEST(BpeTrainer, TakesThePairOfTheLowestIdsWhereCountsAreEqual) {
  EXPECT_EQ(merges_of({{"cd", 1}, {"ab", 1}, {"ac", 1}}, 3), "a b, a c, c d");
}

TEST(BpeTrainer, CountsAPairThatOverlapsItselfAsThePackageDoes) {
  // Three pairs "a a" in "aaaa", of which two can be merged.
  EXPECT_EQ(merges_of({{"aaaa", 1}, {"bb", 2}}, 3), "a a, b b, aa aa");
}

TEST(BpeTrainer, StopsWhereNoPairIsFrequentEnough) {
  EXPECT_EQ(merges_of({{"ab", 2}, {"cd", 1}}, 100), "a b, c d");
  EXPECT_EQ(merges_of({{"ab", 2}, {"cd", 1}}, 100, /*min_frequency=*/2), "a b");
}

TEST(BpeTrainer, FollowsAPairThroughItsNeighboursMerges) {
  // What the tokenizers package's BpeTrainer makes of the same words.
  EXPECT_EQ(
      merges_of({{"aba", 9}, {"xaba", 5}, {"xa", 30}, {"ba", 20}, {"ab", 21}, {"abac", 5}}, 8),
      "a b, x a, b a, ab a, x aba, aba c");
}

/// A folder for texts and tokenizers.
struct Scratch {
  std::string text(const std::string& name, const std::string& content) const {
    write_file(directory.file(name), content);
    return directory.file(name);
  }
  TokenizerTrainingOptions options(std::vector<std::string> files, i64 vocab_size = 300) const {
    return {.files = std::move(files), .out = directory.file("out"), .vocab_size = vocab_size};
  }
  std::string read(const std::string& name) const {
    return file_system().read(directory.file(name), i64{1} << 20);
  }
  TempDirectory directory;
};

const std::string kText =
    "the cat sat on the mat\nthe other cat sat on the other mat\n\nit's 1234567, isn't it?\n";

TEST(TokenizerTraining, WritesWhatLoadsAndSpellsTheText) {
  const Scratch scratch;
  TokenizerTrainingOptions options = scratch.options({scratch.text("text.txt", kText)}, 280);
  options.roles.eos = "<|endoftext|>";
  options.special_tokens = {"<|im_start|>", "<|endoftext|>"};
  const TokenizerTrainingReport report = train_tokenizer(options);
  EXPECT_EQ(report.vocab_size, 280);
  EXPECT_EQ(report.merges, 280 - 256 - 2);
  EXPECT_EQ(report.corpus.bytes, static_cast<i64>(kText.size()));
  const Tokenizer tokenizer = load_tokenizer(options.out);
  EXPECT_EQ(tokenizer.vocab_size(), 280);
  EXPECT_EQ(tokenizer.eos_id(), 1);
  EXPECT_TRUE(tokenizer.is_special(0));
  EXPECT_TRUE(tokenizer.notes().empty());
  EXPECT_EQ(pieces(tokenizer, " the cat"), "| the| cat|");
  EXPECT_EQ(pieces(tokenizer, "<|im_start|>the"), "|<|im_start|>|the|");
  const std::string other = "déjà vu \xF0\x9F\x99\x82\t\r\n";
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(other)), other);
  // The report counts what the text becomes, a line at a time.
  i64 tokens = 0;
  for (const std::string line : {"the cat sat on the mat\n", "the other cat sat on the other mat\n",
                                 "\n", "it's 1234567, isn't it?\n"}) {
    tokens += static_cast<i64>(tokenizer.encode(line).size());
  }
  EXPECT_EQ(report.tokens, tokens);
}

TEST(TokenizerTraining, PutsBosInFrontOfTexts) {
  const Scratch scratch;
  TokenizerTrainingOptions options = scratch.options({scratch.text("text.txt", kText)});
  options.roles = {.bos = "<s>", .eos = "</s>", .pad = "<pad>"};
  options.special_tokens = {"<pad>"};
  train_tokenizer(options);
  const Tokenizer tokenizer = load_tokenizer(options.out);
  EXPECT_TRUE(tokenizer.notes().empty());
  EXPECT_EQ(tokenizer.pad_id(), 0);
  EXPECT_EQ(tokenizer.bos_id(), 1);
  EXPECT_EQ(tokenizer.eos_id(), 2);
  EXPECT_EQ(tokenizer.encode("").front(), 1);
  EXPECT_EQ(tokenizer.encode(" the").size(), 2U);
  EXPECT_EQ(tokenizer.encode(" the", {.add_special_tokens = false}).size(), 1U);
}

TEST(TokenizerTraining, CutsTextByThePatternOfItsName) {
  const Scratch scratch;
  const std::vector<std::pair<SplitPattern, std::string>> cases = {
      {SplitPattern::kGpt2, "|1234567|"},
      {SplitPattern::kLlama3, "|123|456|7|"},
      {SplitPattern::kQwen2, "|1|2|3|4|5|6|7|"}};
  std::string digits;
  for (int line = 0; line < 9; ++line) {
    digits += "1234567\n";
  }
  for (const auto& [pattern, expected] : cases) {
    TokenizerTrainingOptions options = scratch.options({scratch.text("text.txt", digits)}, 300);
    options.pattern = pattern;
    options.overwrite = true;
    train_tokenizer(options);
    EXPECT_EQ(pieces(load_tokenizer(options.out), "1234567"), expected);
  }
}

TEST(TokenizerTraining, IsTheSameAtAnyNumberOfThreads) {
  const Scratch scratch;
  std::string text;
  for (int line = 0; line < 3000; ++line) {
    text += "line " + std::to_string(line * 7919) + " of " + std::to_string(line % 37) + kText;
  }
  const TokenizerTrainingOptions options = scratch.options({scratch.text("text.txt", text)}, 600);
  const int threads = num_threads();
  set_num_threads(1);
  train_tokenizer(options);
  const std::string once = scratch.read("out/tokenizer.json");
  std::filesystem::remove_all(options.out);
  set_num_threads(4);
  train_tokenizer(options);
  set_num_threads(threads);
  EXPECT_EQ(scratch.read("out/tokenizer.json"), once);
}

TEST(TokenizerTraining, ReadsRowsOfEveryKindAndLeavesJsonOut) {
  const Scratch scratch;
  const std::string rows = scratch.text("rows.jsonl",
                                        R"({"prompt": "one ", "completion": "two"}
{"messages": [{"role": "user", "content": "three"}, {"role": "assistant", "content": [{"type": "text", "text": "four"}]}]}
)");
  const std::string text = scratch.text("rows.json", R"([{"text": "five"}])");
  TokenizerTrainingOptions options = scratch.options({rows, text});
  const TokenizerTrainingReport report = train_tokenizer(options);
  EXPECT_EQ(report.corpus.bytes, 3 + 1 + 3 + 5 + 4 + 4);
  const std::string file = scratch.read("out/tokenizer.json");
  EXPECT_NE(file.find("\"four\""), std::string::npos);
  EXPECT_EQ(file.find("\"role\""), std::string::npos);
}

TEST(TokenizerTraining, TakesALongRunOfOneLetter) {
  const Scratch scratch;
  const TokenizerTrainingOptions options =
      scratch.options({scratch.text("text.txt", std::string(1 << 20, 'a'))}, 300);
  EXPECT_EQ(train_tokenizer(options).tokens, 1);
}

/// What train_tokenizer says, "DIR" for the folder.
std::string refusal(const Scratch& scratch, const TokenizerTrainingOptions& options) {
  try {
    train_tokenizer(options);
  } catch (const Error& error) {
    std::string what = error.what();
    const std::string& path = scratch.directory.path();
    for (std::size_t at; (at = what.find(path)) != std::string::npos;) {
      what.replace(at, path.size(), "DIR");
    }
    return what;
  }
  return "accepted";
}

TEST(TokenizerTraining, RefusesInOneSentence) {
  const Scratch scratch;
  const std::string text = scratch.text("text.txt", kText);
  const auto changed = [&](auto&& change) {
    TokenizerTrainingOptions options = scratch.options({text});
    change(options);
    return refusal(scratch, options);
  };
  using Options = TokenizerTrainingOptions;
  EXPECT_EQ(changed([](Options& o) {
              o.vocab_size = 256;
              o.roles.eos = "<eos>";
            }),
            "the vocabulary must have from 257 tokens (256 bytes and 1 special token) to 4000000, "
            "not 256");
  EXPECT_EQ(changed([](Options& o) { o.special_tokens = {""}; }),
            "a special token must have a text");
  EXPECT_EQ(changed([](Options& o) { o.special_tokens = {"a"}; }),
            "\"a\" is a letter of the alphabet that bytes are spelt in, and cannot be a special "
            "token");
  EXPECT_EQ(changed([](Options& o) { o.special_tokens = {"<a>\xFF"}; }),
            "byte 3 of a special token is not UTF-8");
  EXPECT_EQ(changed([&](Options& o) {
              o.files = {scratch.text("bad.txt",
                                      "good\nb\xFF"
                                      "d\n")};
            }),
            "DIR/bad.txt: line 2: the text: byte 0xff at offset 1 is not UTF-8");
  EXPECT_EQ(changed([&](Options& o) { o.files = {scratch.text("empty.txt", "")}; }),
            "DIR/empty.txt: there is no text to train a tokenizer on");
  EXPECT_EQ(
      changed([&](Options& o) { o.files = {scratch.text("ids.jsonl", R"({"input_ids": [1]})")}; }),
      "DIR/ids.jsonl: line 1: the row holds token ids, and a tokenizer is trained on text");
  EXPECT_FALSE(std::filesystem::exists(scratch.directory.file("out")));
}

TEST(TokenizerTraining, ReplacesATokenizerWhenAskedAndNothingElse) {
  const Scratch scratch;
  TokenizerTrainingOptions options = scratch.options({scratch.text("text.txt", kText)});
  train_tokenizer(options);
  const std::string first = scratch.read("out/tokenizer.json");
  options.vocab_size = 270;
  EXPECT_EQ(refusal(scratch, options), "DIR/out: already there (--overwrite replaces it)");
  EXPECT_EQ(scratch.read("out/tokenizer.json"), first);
  options.overwrite = true;
  EXPECT_EQ(refusal(scratch, options), "accepted");
  EXPECT_NE(scratch.read("out/tokenizer.json"), first);
  scratch.text("out/model.safetensors", "weights");
  EXPECT_EQ(refusal(scratch, options),
            "DIR/out: already there, and its model.safetensors is no file of a tokenizer that was "
            "trained here; choose another --out");
  options.out = scratch.directory.file("text.txt");
  EXPECT_NE(refusal(scratch, options).find("DIR/text.txt"), std::string::npos);
  EXPECT_EQ(scratch.read("text.txt"), kText);
}

}  // namespace
}  // namespace inlay
