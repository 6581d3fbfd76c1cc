// SPDX-License-Identifier: Apache-2.0

// A tokenizer of one's own text through the real command, up to a model trained with it.

#include <gtest/gtest.h>

#include "tests/apps/workshop.h"

namespace inlay {
namespace {

using Json = nlohmann::json;

constexpr const char* kTrain = "tokenizer train text.txt --vocab-size 280 --out own";

struct TokenizerWorkshop : Workshop {
  TokenizerWorkshop() {
    std::string text;
    for (int line = 0; line < 40; ++line) {
      text += "order " + std::to_string(line % 7) + ": the seller sells, the customer pays\n";
    }
    write("text.txt", text);
  }
};

TEST(TokenizerCommand, TrainsATokenizerThatARunFromScratchUses) {
  const TokenizerWorkshop workshop;
  const Finished trained = workshop.run(std::string(kTrain) + " --json");
  ASSERT_EQ(trained.exit_code, 0) << trained.err;
  const Json report = Json::parse(trained.out);
  EXPECT_EQ(report["vocab_size"], 280);
  EXPECT_EQ(report["merges"], 280 - 256 - 1);  // but for the bytes and <|endoftext|>

  Json run = Json::parse(run_json(
      {{"/model", {{"config", workshop.read_json("model/config.json")}, {"tokenizer", "own"}}},
       {"/data/train", "texts.jsonl"}}));
  run["model"]["config"]["vocab_size"] = 280;
  run.erase("peft");
  workshop.write("texts.jsonl", R"({"text": "the seller sells"})");
  workshop.write("run.json", run.dump());
  const Finished finished = workshop.run("train run.json");
  ASSERT_EQ(finished.exit_code, 0) << finished.err;
  // The tokenizer goes with the model, which is then complete.
  const Finished shown = workshop.run({"tokenize", "-m", "out/model", " seller<|endoftext|>"});
  EXPECT_EQ(shown.exit_code, 0) << shown.err;
  EXPECT_NE(shown.out.find("Ġseller\n     0  <|endoftext|>\n"), std::string::npos) << shown.out;
}

TEST(TokenizerCommand, SaysWhenTheTextHasFewerPairs) {
  const TokenizerWorkshop workshop;
  workshop.write("text.txt", "ab\n");
  const Finished finished = workshop.run(kTrain);
  EXPECT_EQ(finished.exit_code, 0) << finished.err;
  EXPECT_EQ(finished.err,
            "note: the text has pairs to merge for no more than 258 tokens, not for 280\n");
  EXPECT_EQ(finished.out,
            "1 texts, 3 bytes, 2 different words: 258 tokens by 1 merges; a token stands for 1.50 "
            "bytes of them\nwritten: own\n");
}

TEST(TokenizerCommand, RefusesInOneSentence) {
  const TokenizerWorkshop workshop;
  workshop.expect_refused("tokenizer trian text.txt", kUsage,
                          "tokenizer: unknown command \"trian\" (did you mean \"train\"?); there "
                          "is: train");
  workshop.expect_refused("tokenizer train text.txt --out own", kUsage,
                          "tokenizer train: --vocab-size is required (see inlay tokenizer train "
                          "--help)");
  workshop.expect_refused("tokenizer train text.txt --vocab-size 256 --out own", kUsage,
                          "the vocabulary must have from 257 tokens (256 bytes and 1 special "
                          "token) to 4000000, not 256");
  workshop.expect_refused("tokenizer train text.txt --vocab-size 280 --out own --pattern gpt3",
                          kUsage, "…");
  workshop.expect_refused("tokenizer train texts.txt --vocab-size 300 --out own", kData,
                          "texts.txt: …");
  workshop.write("own/notes.txt", "kept");
  workshop.expect_refused(kTrain, kUsage,
                          "own: already there, and its notes.txt is no file of a tokenizer that "
                          "was trained here; choose another --out");
}

}  // namespace
}  // namespace inlay
