// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/bpe.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "core/error.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/word_cache.h"

namespace inlay {
namespace {

struct Rule {
  std::string left;
  std::string right;
};

/// A vocabulary of letters and of what `rules` make, and the encoding of `piece` as pieces with
/// their places: "ab:0-2 c:2-3".
std::string encoded(const std::string& letters, const std::vector<Rule>& rules,
                    const std::string& piece, bool ignore_merges = false,
                    const std::string& unk = "", bool fuse_unk = false) {
  Vocabulary vocabulary;
  for (const char letter : letters) {
    vocabulary.add(std::string(1, letter), vocabulary.size());
  }
  if (!unk.empty()) {
    vocabulary.add(unk, vocabulary.size());
  }
  for (const Rule& rule : rules) {
    if (!vocabulary.find(rule.left + rule.right)) {
      vocabulary.add(rule.left + rule.right, vocabulary.size());
    }
  }
  ByteLevelBpe bpe(
      vocabulary,
      {.unk_id = vocabulary.find(unk), .fuse_unk = fuse_unk, .ignore_merges = ignore_merges});
  for (const Rule& rule : rules) {
    bpe.merges().add(vocabulary, rule.left, rule.right);
  }
  std::vector<PieceToken> tokens;
  bpe.encode(piece, tokens);
  std::string out;
  for (const PieceToken& token : tokens) {
    out += (out.empty() ? "" : " ") + *vocabulary.piece(token.id) + ':' +
           std::to_string(token.begin) + '-' + std::to_string(token.end);
  }
  return out;
}

TEST(Bpe, MergesByRankAndThenFromTheLeft) {
  EXPECT_EQ(encoded("abc", {{"b", "c"}, {"a", "b"}}, "abc"), "a:0-1 bc:1-3");
  EXPECT_EQ(encoded("abc", {{"a", "b"}, {"b", "c"}}, "abc"), "ab:0-2 c:2-3");
  EXPECT_EQ(encoded("a", {{"a", "a"}}, "aaaaa"), "aa:0-2 aa:2-4 a:4-5");
  EXPECT_EQ(encoded("a", {{"a", "a"}, {"aa", "aa"}}, "aaaaaaa"), "aaaa:0-4 aa:4-6 a:6-7");
  // A merge that becomes possible later still goes by its rank.
  EXPECT_EQ(encoded("abcd", {{"ab", "c"}, {"c", "d"}, {"a", "b"}}, "abcd"), "ab:0-2 cd:2-4");
}

TEST(Bpe, TakesTheLaterRankOfAPairThatComesTwice) {
  EXPECT_EQ(encoded("abc", {{"a", "b"}, {"b", "c"}, {"a", "b"}}, "abc"), "a:0-1 bc:1-3");
}

TEST(Bpe, TakesAWholePieceWhereMergesAreIgnored) {
  const std::vector<Rule> rules = {{"b", "c"}, {"a", "b"}, {"ab", "c"}};
  EXPECT_EQ(encoded("abc", rules, "abc"), "a:0-1 bc:1-3");
  EXPECT_EQ(encoded("abc", rules, "abc", /*ignore_merges=*/true), "abc:0-3");
  EXPECT_EQ(encoded("abc", rules, "abcb", /*ignore_merges=*/true), "a:0-1 bc:1-3 b:3-4");
}

TEST(Bpe, BytesWithoutATokenBecomeUnkOrAreDropped) {
  const std::vector<Rule> rules = {{"a", "b"}};
  EXPECT_EQ(encoded("ab", rules, "xaxxb"), "ab:1-5");  // what was between is gone
  EXPECT_EQ(encoded("ab", rules, "xaxxb", false, "?"), "?:0-1 a:1-2 ?:2-3 ?:3-4 b:4-5");
  EXPECT_EQ(encoded("ab", rules, "xaxxb", false, "?", true), "?:0-1 a:1-2 ?:2-4 b:4-5");
  EXPECT_EQ(encoded("ab", rules, "xx"), "");
}

TEST(Bpe, RefusesMergesOfWhatIsNotInTheVocabulary) {
  Vocabulary vocabulary;
  vocabulary.add("a", 0);
  vocabulary.add("b", 1);
  ByteLevelBpe bpe(vocabulary, {});
  const auto error_of = [&](const std::string& left, const std::string& right) -> std::string {
    try {
      bpe.merges().add(vocabulary, left, right);
    } catch (const DataError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(error_of("x", "b"), "merges \"x\" and \"b\", but \"x\" is not in the vocabulary");
  EXPECT_EQ(error_of("a", "x"), "merges \"a\" and \"x\", but \"x\" is not in the vocabulary");
  // Longer than every token there is.
  EXPECT_EQ(error_of("a", "b"), "merges \"a\" and \"b\", but \"ab\" is not in the vocabulary");
}

TEST(Bpe, NamesAByteThatHasNoToken) {
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    if (byte != 0xC3) {
      vocabulary.add(byte_letter(static_cast<u8>(byte)), byte);
    }
  }
  EXPECT_EQ(ByteLevelBpe(vocabulary, {}).missing_byte(), 0xC3);
  vocabulary.add(byte_letter(0xC3), 0xC3);
  EXPECT_EQ(ByteLevelBpe(vocabulary, {}).missing_byte(), std::nullopt);
}

TEST(ByteLevel, SpellsEveryByteAndReadsItBack) {
  EXPECT_EQ(byte_letter(' '), "\u0120");
  EXPECT_EQ(byte_letter('\n'), "\u010a");
  EXPECT_EQ(byte_letter(0x00), "\u0100");
  EXPECT_EQ(byte_letter(0x7F), "\u0121");
  EXPECT_EQ(byte_letter(0x80), "\u0122");
  EXPECT_EQ(byte_letter(0xA0), "\u0142");
  EXPECT_EQ(byte_letter(0xAD), "\u0143");
  EXPECT_EQ(byte_letter(0xFF), "\u00ff");
  EXPECT_EQ(byte_letter('A'), "A");
  std::string letters;
  std::string bytes;
  for (int byte = 0; byte < 256; ++byte) {
    letters += byte_letter(static_cast<u8>(byte));
    bytes += static_cast<char>(byte);
  }
  EXPECT_EQ(from_byte_letters(letters), bytes);
  EXPECT_EQ(from_byte_letters("a b"), std::nullopt);  // a blank is no letter
  EXPECT_EQ(from_byte_letters("\u0144"), std::nullopt);
}

TEST(Vocabulary, RefusesIdsAndPiecesThatComeTwice) {
  Vocabulary vocabulary;
  vocabulary.add("a", 5);
  EXPECT_EQ(vocabulary.id_end(), 6);
  EXPECT_EQ(vocabulary.size(), 1);
  EXPECT_EQ(vocabulary.piece(4), nullptr);
  const auto error_of = [&](const std::string& piece, i64 id) -> std::string {
    try {
      vocabulary.add(piece, id);
    } catch (const DataError& error) {
      return error.what();
    }
    return "no error";
  };
  EXPECT_EQ(error_of("b", 5), "id 5 is given to both \"a\" and \"b\"");
  EXPECT_EQ(error_of("a", 6), "token \"a\" is given twice, with ids 5 and 6");
  EXPECT_EQ(error_of("b", -1), "token \"b\" has id -1; ids are from 0 to 8388607");
  EXPECT_EQ(error_of("b", i64{1} << 40),
            "token \"b\" has id 1099511627776; ids are from 0 to 8388607");
}

TEST(WordCache, RemembersWithoutChangingTheTokens) {
  Vocabulary vocabulary;
  for (int byte = 0; byte < 256; ++byte) {
    vocabulary.add(byte_letter(static_cast<u8>(byte)), byte);
  }
  const ByteLevelBpe bpe(vocabulary, {});
  WordCache cache;
  // More words than it holds, each asked for twice, and words too long to be kept.
  for (int i = 0; i < 100'000; ++i) {
    const std::string word = std::to_string(i / 2) + (i % 1000 == 0 ? std::string(100, 'x') : "");
    const std::vector<PieceToken>& tokens = cache.encode(bpe, word);
    ASSERT_EQ(tokens.size(), word.size());
    for (std::size_t k = 0; k < word.size(); ++k) {
      ASSERT_EQ(tokens[k].id, static_cast<u8>(word[k]));
    }
  }
}

}  // namespace
}  // namespace inlay
