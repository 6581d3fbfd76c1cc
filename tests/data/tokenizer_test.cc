// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/tokenizer.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <thread>

#include "core/error.h"
#include "data/tokenizer/load.h"
#include "data/tokenizer/normalizer.h"
#include "tests/data/golden.h"

namespace inlay {
namespace {

Tokenizer golden_tokenizer(const std::string& style) {
  return tokenizer_from_json(golden_tokenizer_json(style).dump(), "tokenizer.json");
}

std::vector<ByteRange> ranges_of(const std::vector<TokenSpan>& tokens) {
  std::vector<ByteRange> ranges;
  ranges.reserve(tokens.size());
  for (const TokenSpan& token : tokens) {
    ranges.push_back({token.begin, token.end});
  }
  return ranges;
}

TEST(Tokenizer, KeepsSpecialTextPlainWhereAsked) {
  const Tokenizer tokenizer = golden_tokenizer("gpt2_style");
  const std::string text = "a<|im_end|>b";
  EXPECT_EQ(tokenizer.encode(text)[1], 2);
  const std::vector<i32> plain = tokenizer.encode(text, {.parse_special = false});
  for (const i32 id : plain) {
    EXPECT_FALSE(tokenizer.is_special(id));
  }
  EXPECT_EQ(tokenizer.decode(plain), text);
}

TEST(Tokenizer, LooksUpPiecesAndIds) {
  const Tokenizer tokenizer = golden_tokenizer("gpt2_style");
  EXPECT_EQ(tokenizer.vocab_size(), 1200);
  EXPECT_EQ(tokenizer.token_id("<|im_end|>"), 2);
  EXPECT_EQ(tokenizer.token_id("no such piece"), std::nullopt);
  EXPECT_EQ(tokenizer.piece(*tokenizer.token_id("\u0120the")), "\u0120the");
  EXPECT_EQ(tokenizer.piece(1200), "");
  EXPECT_EQ(tokenizer.piece(-1), "");
  EXPECT_TRUE(tokenizer.is_special(0));
  EXPECT_FALSE(tokenizer.is_special(3));
  EXPECT_EQ(tokenizer.bos_id(), std::nullopt);
  EXPECT_TRUE(tokenizer.eos_ids().empty());
}

TEST(Tokenizer, GivesNoTextForIdsWithoutAToken) {
  const Tokenizer tokenizer = golden_tokenizer("gpt2_style");
  EXPECT_EQ(tokenizer.decode(std::vector<i32>{-100, 3, 1200, 1 << 30}), "!");
}

TEST(Tokenizer, RefusesTextThatIsNotUtf8) {
  const Tokenizer tokenizer = golden_tokenizer("gpt2_style");
  try {
    tokenizer.encode("ab\xC3(");
    FAIL();
  } catch (const DataError& error) {
    EXPECT_STREQ(error.what(), "text: byte 0xc3 at offset 2 is not UTF-8");
  }
}

TEST(Tokenizer, OffsetsAreThoseOfTheTextBeforeNormalisation) {
  const Tokenizer tokenizer = golden_tokenizer("qwen2_style");
  // "e" and an acute accent are composed to C3 A9, two tokens; both stand for all three bytes.
  const std::string text = "x e\u0301<|im_end|>\u00e9y";
  const std::vector<ByteRange> expected = {{0, 1},  {1, 2},   {2, 5},   {2, 5},
                                           {5, 15}, {15, 16}, {16, 17}, {17, 18}};
  EXPECT_EQ(ranges_of(tokenizer.encode_with_offsets(text)), expected);
}

TEST(Tokenizer, TokensAroundATextHaveEmptyRanges) {
  const Tokenizer tokenizer = golden_tokenizer("llama3_style");
  const std::vector<TokenSpan> tokens = tokenizer.encode_with_offsets("!");
  ASSERT_EQ(tokens.size(), 2U);
  EXPECT_EQ(tokens[0], (TokenSpan{0, 0, 0}));
  EXPECT_EQ(tokens[1].end, 1);
}

TEST(Tokenizer, StreamHoldsBackUnfinishedCharacters) {
  const Tokenizer tokenizer = golden_tokenizer("gpt2_style");
  TokenStream stream(tokenizer);
  const std::vector<i32> ids = tokenizer.encode("\U0001F642!");  // four bytes, four tokens
  ASSERT_EQ(ids.size(), 5U);
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.push(ids[1]), "");
  EXPECT_EQ(stream.push(ids[2]), "");
  EXPECT_EQ(stream.push(ids[3]), "\U0001F642");
  EXPECT_EQ(stream.push(ids[4]), "!");
  // Cut short, the character is replaced: at once when it cannot go on, at the end otherwise.
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.push(ids[4]), "\uFFFD!");
  EXPECT_EQ(stream.push(ids[0]), "");
  EXPECT_EQ(stream.finish(), "\uFFFD");
  EXPECT_EQ(stream.finish(), "");
}

TEST(Tokenizer, BytesAreTheirOwnIds) {
  const Tokenizer tokenizer = load_tokenizer("bytes");
  EXPECT_EQ(tokenizer.vocab_size(), 256);
  std::string text;
  for (char32_t c = 0; c < 0x500; ++c) {
    text += static_cast<char>(c % 0x80);
  }
  text += "\u00e9\u4f60\U0001F642<|im_end|>";
  const std::vector<i32> ids = tokenizer.encode(text);
  ASSERT_EQ(ids.size(), text.size());
  for (std::size_t i = 0; i < ids.size(); ++i) {
    EXPECT_EQ(ids[i], static_cast<u8>(text[i]));
    EXPECT_FALSE(tokenizer.is_special(ids[i]));
  }
  EXPECT_EQ(tokenizer.decode(ids), text);
  EXPECT_EQ(tokenizer.eos_id(), std::nullopt);
}

TEST(Tokenizer, GivesTheSameIdsFromManyThreads) {
  const Tokenizer tokenizer = golden_tokenizer("smollm_style");
  const auto cases = golden_cases("smollm_style");
  std::vector<std::thread> threads;
  threads.reserve(4);
  std::vector<int> wrong(4, 0);
  for (int t = 0; t < 4; ++t) {
    threads.emplace_back([&, t] {
      for (int round = 0; round < 5; ++round) {
        for (const GoldenCase& c : cases) {
          wrong[t] += tokenizer.encode(c.text) != c.ids ? 1 : 0;
        }
      }
    });
  }
  for (std::thread& thread : threads) {
    thread.join();
  }
  EXPECT_EQ(wrong, std::vector<int>(4, 0));
}

TEST(Tokenizer, EncodesALongWordInProportionToItsLength) {
  const Tokenizer tokenizer = golden_tokenizer("gpt2_style");
  std::mt19937 random(1);  // its numbers are the same everywhere
  std::string word;
  for (int i = 0; i < 400'000; ++i) {
    word += "etaoinshrdlu"[random() % 12];
  }
  const auto seconds_of = [&](std::string_view text) {
    double best = 1e9;
    for (int round = 0; round < 3; ++round) {
      const auto start = std::chrono::steady_clock::now();
      const std::vector<i32> ids = tokenizer.encode(text);
      const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
      best = std::min(best, took.count());
      EXPECT_EQ(tokenizer.decode(ids), text);
    }
    return best;
  };
  const double half = seconds_of(std::string_view(word).substr(0, 200'000));
  const double whole = seconds_of(word);
  EXPECT_LT(half, 5.0);  // measured 0.1 s; merging pair after pair in a list takes minutes
  EXPECT_LT(whole, 3.0 * half + 0.1);  // n log n is 2.1; a quadratic way is 4
}

}  // namespace
}  // namespace inlay
