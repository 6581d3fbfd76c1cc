// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include "data/tokenizer/load.h"
#include "tests/data/golden.h"

namespace inlay {
namespace {

/// A golden tokenizer as its GGUF file would have it.
GgufTokenizerData as_gguf(const std::string& style, const std::string& pre) {
  const nlohmann::json json = golden_tokenizer_json(style);
  GgufTokenizerData data;
  data.model = "gpt2";
  data.pre = pre;
  data.tokens.resize(json["model"]["vocab"].size());
  data.token_types.assign(data.tokens.size(), 1);
  for (const auto& [piece, id] : json["model"]["vocab"].items()) {
    data.tokens[id.get<i64>()] = piece;
  }
  for (const auto& merge : json["model"]["merges"]) {
    data.merges.push_back(merge[0].get<std::string>() + ' ' + merge[1].get<std::string>());
  }
  for (const auto& token : json["added_tokens"]) {
    data.token_types[token["id"].get<i64>()] = 3;
  }
  data.bos_id = data.eos_id = 0;
  return data;
}

void expect_golden(const Tokenizer& tokenizer, const std::string& style) {
  const auto cases = golden_cases(style);
  ASSERT_EQ(cases.size(), 91U);
  for (const GoldenCase& c : cases) {
    SCOPED_TRACE(style + ": " + testing::PrintToString(c.text));
    EXPECT_EQ(tokenizer.encode(c.text), c.ids);
    EXPECT_EQ(tokenizer.encode(c.text, {.add_special_tokens = false}), c.ids_no_special);
    EXPECT_EQ(tokenizer.decode(c.ids_no_special), c.decoded);
    EXPECT_EQ(tokenizer.decode(c.ids_no_special, {.skip_special_tokens = true}), c.decoded_skip);
  }
}

TEST(TokenizerGolden, GivesTheIdsAndTextsOfTokenizerJson) {
  for (const std::string& style : golden_styles()) {
    expect_golden(load_tokenizer(golden_directory(style)), style);
  }
}

TEST(TokenizerGolden, GivesTheSameFromGgufMetadata) {
  const std::vector<std::pair<std::string, std::string>> names = {
      {"gpt2_style", "gpt-2"},    {"smollm_style", "smollm"},   {"llama3_style", "llama-bpe"},
      {"llama3_style", "llama3"}, {"llama3_style", "llama-v3"}, {"qwen2_style", "qwen2"}};
  for (const auto& [style, pre] : names) {
    SCOPED_TRACE(pre);
    expect_golden(tokenizer_from_gguf(as_gguf(style, pre), "model.gguf"), style);
  }
}

/// Llama 2's style as a GGUF file has it: the earlier a merge, the higher the score of its token.
GgufTokenizerData as_scored_gguf() {
  const nlohmann::json json = golden_tokenizer_json("llama2_style");
  GgufTokenizerData data;
  data.model = "llama";
  data.tokens.resize(json["model"]["vocab"].size());
  data.token_types.assign(data.tokens.size(), 1);
  data.scores.assign(data.tokens.size(), -1e6F);
  for (const auto& [piece, id] : json["model"]["vocab"].items()) {
    data.tokens[id.get<i64>()] = piece;
  }
  float score = 0;
  for (const auto& merge : json["model"]["merges"]) {
    const std::string piece = merge[0].get<std::string>() + merge[1].get<std::string>();
    data.scores[json["model"]["vocab"][piece].get<i64>()] = score--;
  }
  data.token_types[0] = 2;
  data.token_types[1] = data.token_types[2] = 3;
  data.unk_id = 0;
  data.bos_id = 1;
  data.eos_id = 2;
  return data;
}

TEST(TokenizerGolden, GivesTheSameByScores) {
  const Tokenizer tokenizer = tokenizer_from_gguf(as_scored_gguf(), "model.gguf");
  for (const GoldenCase& c : golden_cases("llama2_style")) {
    SCOPED_TRACE(testing::PrintToString(c.text));
    EXPECT_EQ(tokenizer.encode(c.text), c.ids);
    EXPECT_EQ(tokenizer.decode(c.ids_no_special), c.decoded);
  }
}

TEST(TokenizerGolden, OffsetsCoverTheTextInOrder) {
  for (const std::string& style : golden_styles()) {
    const Tokenizer tokenizer = load_tokenizer(golden_directory(style));
    for (const GoldenCase& c : golden_cases(style)) {
      SCOPED_TRACE(style + ": " + testing::PrintToString(c.text));
      std::vector<i32> ids;
      i64 reached = 0;
      for (const TokenSpan& token : tokenizer.encode_with_offsets(c.text)) {
        ids.push_back(token.id);
        // A token starts where the last one ended, or, within a composed character, with it.
        EXPECT_LE(token.begin, reached);
        EXPECT_GE(token.end, reached);
        reached = token.end;
      }
      EXPECT_EQ(ids, c.ids);
      EXPECT_EQ(reached, static_cast<i64>(c.text.size()));
    }
  }
}

TEST(TokenizerGolden, StreamsTheTextThatDecodeGives) {
  for (const std::string& style : golden_styles()) {
    const Tokenizer tokenizer = load_tokenizer(golden_directory(style));
    TokenStream stream(tokenizer, {.skip_special_tokens = true});
    for (const GoldenCase& c : golden_cases(style)) {
      std::string text;
      for (const i32 id : c.ids) {
        const std::string part = stream.push(id);
        EXPECT_EQ(part.find("\uFFFD"), std::string::npos);  // no text has one
        text += part;
      }
      EXPECT_EQ(text, c.decoded_skip);  // nothing is held back at the end of whole characters
      EXPECT_EQ(stream.finish(), "");
    }
  }
}

}  // namespace
}  // namespace inlay
