// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "core/error.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/load.h"
#include "tests/data/pieces.h"
#include "tests/support/error_text.h"

namespace inlay {
namespace {

using nlohmann::json;

/// A small tokenizer: the 256 bytes with their values as ids, a few merges, one special token.
json small_tokenizer() {
  json file = parse_json(R"({
    "version": "1.0",
    "truncation": null,
    "padding": null,
    "added_tokens": [{"id": 260, "content": "<|end|>", "single_word": false, "lstrip": false,
                      "rstrip": false, "normalized": false, "special": true}],
    "normalizer": null,
    "pre_tokenizer": {"type": "Sequence", "pretokenizers": [
      {"type": "Split", "pattern": {"Regex": "-"}, "behavior": "Isolated", "invert": false},
      {"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}]},
    "post_processor": null,
    "decoder": {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true,
                "use_regex": true},
    "model": {"type": "BPE", "dropout": null, "unk_token": null,
              "continuing_subword_prefix": null, "end_of_word_suffix": null, "fuse_unk": false,
              "byte_fallback": false, "ignore_merges": false, "vocab": {},
              "merges": [["a", "b"], ["ab", "c"], "c d", ["x", "y"]]}})",
                         "small");
  for (int byte = 0; byte < 256; ++byte) {
    file["model"]["vocab"][byte_letter(static_cast<u8>(byte))] = byte;
  }
  file["model"]["vocab"].update({{"ab", 256}, {"abc", 257}, {"cd", 258}, {"xy", 259}});
  return file;
}

json added(const std::string& content, i64 id, const std::string& flags = "") {
  const auto has = [&](const std::string& flag) { return flags.find(flag) != std::string::npos; };
  return {{"content", content},         {"id", id},
          {"single_word", has("word")}, {"lstrip", has("lstrip")},
          {"rstrip", has("rstrip")},    {"normalized", has("normalized")},
          {"special", has("special")}};
}

Tokenizer load(const json& file) {
  return tokenizer_from_json(file.dump(), "tokenizer.json");
}

/// The source text of each token, in bars: `|ab|c|`.
/// Replaces the value at `pointer` (or adds it) by the JSON `value`; removes it for "".
json edited(const std::string& pointer, const std::string& value) {
  json file = small_tokenizer();
  const json::json_pointer place(pointer);
  if (value.empty()) {
    file.at(place.parent_pointer()).erase(place.back());
  } else {
    file[place] = json::parse(value);
  }
  return file;
}

TEST(TokenizerJson, EncodesWithTheMergesInBothSpellings) {
  const Tokenizer tokenizer = load(small_tokenizer());
  EXPECT_EQ(pieces(tokenizer, "abcd-xy<|end|>"), "|abc|d|-|xy|<|end|>|");
  EXPECT_EQ(tokenizer.encode("cd"), (std::vector<i32>{258}));
  EXPECT_EQ(tokenizer.vocab_size(), 261);
}

TEST(TokenizerJson, RefusesEveryPartItDoesNotSupportByName) {
  const struct {
    std::string pointer;
    std::string value;
    std::string error;
  } cases[] = {
      {"/version", R"("2.0")", "/version: \"2.0\" is not supported; it must be 1.0"},
      {"/normalizer", R"({"type":"BertNormalizer"})",
       "/normalizer/type: \"BertNormalizer\" is not supported; supported are NFC, NFD, NFKC, NFKD, "
       "Lowercase, StripAccents, Strip, Prepend, Replace, Nmt, Precompiled and Sequence"},
      {"/normalizer", R"({"type":"Precompiled","precompiled_charsmap":"AAAA"})",
       "/normalizer/precompiled_charsmap: the table of replacements is cut short"},
      {"/normalizer", R"({"type":"Precompiled","precompiled_charsmap":"A-A="})",
       "/normalizer/precompiled_charsmap: the table of replacements is not base64"},
      {"/normalizer", R"({"type":"Sequence","normalizers":[{"type":"NFC"},{"type":"Prepend"}]})",
       "/normalizer/normalizers/1: \"prepend\" is missing"},
      {"/normalizer", R"({"type":"Sequence"})", "/normalizer: \"normalizers\" is missing"},
      {"/normalizer", R"("NFC")", "/normalizer: expected an object, found string"},
      {"/pre_tokenizer", R"({"type":"UnicodeScripts"})",
       "/pre_tokenizer/type: \"UnicodeScripts\" is not supported; supported are ByteLevel, "
       "Metaspace, Split, Digits, Whitespace, WhitespaceSplit, Punctuation, CharDelimiterSplit and "
       "Sequence"},
      {"/pre_tokenizer", R"({"type":"Metaspace","replacement":"ab"})",
       "/pre_tokenizer/replacement: must be one character"},
      {"/pre_tokenizer", R"({"type":"Metaspace","prepend_scheme":"last"})",
       "/pre_tokenizer/prepend_scheme: \"last\" is unknown; known are always, first and never"},
      {"/pre_tokenizer/pretokenizers/2", R"({"type":"Digits","individual_digits":true})",
       "/pre_tokenizer/pretokenizers/2: \"Digits\" comes after ByteLevel, which must be the last"},
      {"/pre_tokenizer/pretokenizers/0/behavior", R"("Merged")",
       "/pre_tokenizer/pretokenizers/0/behavior: \"Merged\" is unknown; known are Removed, "
       "Isolated, MergedWithPrevious, MergedWithNext and Contiguous"},
      {"/pre_tokenizer/pretokenizers/0/pattern", R"({"Regex":"a&&["})",
       "/pre_tokenizer/pretokenizers/0/pattern/Regex: the regular expression \"a&&[\" has a \"[\" "
       "without its \"]\" at offset 3, which is not supported"},
      {"/pre_tokenizer/pretokenizers/0/pattern", R"({"Glob":"*"})",
       "/pre_tokenizer/pretokenizers/0/pattern: \"Regex\" is missing"},
      {"/pre_tokenizer/pretokenizers/1/add_prefix_space", "",
       "/pre_tokenizer/pretokenizers/1: \"add_prefix_space\" is missing"},
      {"/pre_tokenizer/pretokenizers/1/use_regex", "1",
       "/pre_tokenizer/pretokenizers/1/use_regex: expected true or false, found number"},
      {"/decoder", "null",
       " there is no decoder; supported are ByteLevel, Metaspace, Replace, ByteFallback, Fuse, "
       "Strip and Sequence"},
      {"/decoder/type", R"("WordPiece")",
       "/decoder/type: \"WordPiece\" is not supported; supported are ByteLevel, Metaspace, "
       "Replace, "
       "ByteFallback, Fuse, Strip and Sequence"},
      {"/decoder", R"({"type":"Sequence","decoders":[]})",
       "/decoder: there must be one ByteLevel decoder"},
      {"/decoder", R"({"type":"Sequence","decoders":[{"type":"ByteLevel"},{"type":"ByteLevel"}]})",
       "/decoder/decoders/1: \"ByteLevel\" comes after pieces are put together; only Strip and "
       "Fuse "
       "may"},
      {"/post_processor", R"({"type":"Padding"})",
       "/post_processor/type: \"Padding\" is not supported; supported are ByteLevel, "
       "TemplateProcessing, BertProcessing, RobertaProcessing and Sequence"},
      {"/post_processor", R"({"type":"BertProcessing","sep":["x",999],"cls":["y",1]})",
       "/post_processor/sep/1: there is no token with id 999"},
      {"/post_processor", R"({"type":"BertProcessing","sep":["x",1],"cls":["y"]})",
       "/post_processor/cls: expected a piece and its id"},
      {"/post_processor",
       R"({"type":"Sequence","processors":[{"type":"BertProcessing","sep":["x",1],"cls":["y",1]},
                                           {"type":"BertProcessing","sep":["x",1],"cls":["y",1]}]})",
       "/post_processor/processors/1: a second post-processor that adds tokens is not supported"},
      {"/post_processor", R"({"type":"TemplateProcessing","single":[],"special_tokens":{}})",
       "/post_processor/single: a template for one text must hold sequence A once, and no other"},
      {"/post_processor",
       R"({"type":"TemplateProcessing","single":[{"Sequence":{"id":"B"}}],"special_tokens":{}})",
       "/post_processor/single/0/Sequence: a template for one text must hold sequence A once, and "
       "no other"},
      {"/post_processor",
       R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}}],
           "special_tokens":{}})",
       "/post_processor/special_tokens: \"<s>\" is missing"},
      {"/post_processor",
       R"({"type":"TemplateProcessing","single":[{"SpecialToken":{"id":"<s>"}}],
           "special_tokens":{"<s>":{"ids":[261]}}})",
       "/post_processor/special_tokens/<s>/ids/0: there is no token with id 261"},
      {"/model", "null", " \"model\" is missing"},
      {"/model/type", R"("Unigram")",
       "/model/type: \"Unigram\" over ByteLevel letters is not supported"},
      {"/model/type", R"("WordPiece")",
       "/model/type: \"WordPiece\" is not supported; supported are BPE and Unigram"},
      {"/model/dropout", "0.1",
       "/model/dropout: dropout makes encoding random and is not supported; it must be null"},
      {"/model/end_of_word_suffix", R"("</w>")",
       "/model/end_of_word_suffix: is not supported; it must be null"},
      {"/model/continuing_subword_prefix", R"("##")",
       "/model/continuing_subword_prefix: is not supported; it must be null"},
      {"/model/vocab", "[]", "/model/vocab: expected an object, found array"},
      {"/model/vocab/ab", "3", "/model/vocab: id 3 is given to both \"ab\" and \"\u0103\""},
      {"/model/vocab/ab", "-3", "/model/vocab: token \"ab\" has id -3; ids are from 0 to 8388607"},
      {"/model/vocab/ab", "99999999999",
       "/model/vocab: token \"ab\" has id 99999999999; ids are from 0 to 8388607"},
      {"/model/vocab/ab", "18446744073709551615",
       "/model/vocab/ab: expected a smaller number, found number"},
      {"/model/vocab/ab", "1.5", "/model/vocab/ab: expected an integer, found number"},
      {"/model/vocab/ab", "",
       "/model/merges/0: merges \"a\" and \"b\", but \"ab\" is not in the vocabulary"},
      {"/model/merges/0", R"(["a"])", "/model/merges/0: expected a string or an array of two"},
      {"/model/merges/0", R"(["a",1])", "/model/merges/0: expected a string or an array of two"},
      {"/model/merges/2", R"("cd")",
       "/model/merges/2: \"cd\" is not two pieces with a blank between"},
      {"/model/merges/2", R"("c d ")",
       "/model/merges/2: \"c d \" is not two pieces with a blank between"},
      {"/model/merges/2", R"(["abcabcabcabcabcabcabc","d"])",
       "/model/merges/2: merges \"abcabcabcabcabcabcabc\" and \"d\", but \"abcabcabcabcabcabcabc\" "
       "is not in the vocabulary"},
      {"/added_tokens/0/special", "", "/added_tokens/0: \"special\" is missing"},
      {"/added_tokens/0/id", "-1", "/added_tokens/0: id -1 is out of range"},
  };
  for (const auto& c : cases) {
    const std::string place = c.error[0] == ' ' ? "tokenizer.json:" : "tokenizer.json: ";
    EXPECT_EQ(error_text<DataError>([&] { load(edited(c.pointer, c.value)); }), place + c.error)
        << c.pointer << " = " << c.value;
  }
}

TEST(TokenizerJson, RefusesAnUnkTokenThatIsNeededAndNotThere) {
  json file = small_tokenizer();
  file["model"]["unk_token"] = "<unk>";
  load(file);  // every byte has a token: unk is never used
  file["model"]["vocab"].erase("z");
  EXPECT_EQ(error_text<DataError>([&] { load(file); }),
            "tokenizer.json: /model/unk_token: \"<unk>\" is not in the vocabulary");
}

/// What the tokenizers package does (0.23), where a file does not number its added tokens so.
TEST(TokenizerJson, NumbersAddedTokensInTheirOrder) {
  const struct {
    json added_tokens;
    std::map<std::string, i32> more_vocabulary;
    std::vector<std::pair<std::string, i32>> ids;
    std::size_t notes;
  } cases[] = {
      {{added("<x>", 300)}, {}, {{"<x>", 260}}, 1},
      {{added("ab", 260)}, {}, {{"ab", 256}}, 1},
      {{added("<x>", 261), added("<y>", 260)}, {}, {{"<x>", 260}, {"<y>", 261}}, 2},
      {{added("<x>", 260), added("<x>", 260)}, {}, {{"<x>", 260}}, 0},
      {{added("", 260), added("<x>", 261)}, {}, {{"<x>", 260}}, 1},
      {{added("ab", 256), added("<x>", 260)}, {}, {{"ab", 256}, {"<x>", 260}}, 0},
      // A gap in the vocabulary: behind as many ids as it has pieces, or behind an added token.
      {{added("<x>", 261)}, {{"qq", 300}}, {{"<x>", 261}, {"qq", 300}}, 0},
      {{added("qq", 300), added("<x>", 301)}, {{"qq", 300}}, {{"qq", 300}, {"<x>", 301}}, 0},
      {{added("<x>", 260)}, {{"", 260}}, {{"<x>", 261}}, 1},
  };
  for (const auto& c : cases) {
    json file = small_tokenizer();
    file["added_tokens"] = c.added_tokens;
    for (const auto& [piece, id] : c.more_vocabulary) {
      file["model"]["vocab"][piece] = id;
    }
    const Tokenizer tokenizer = load(file);
    for (const auto& [piece, id] : c.ids) {
      EXPECT_EQ(tokenizer.token_id(piece), id) << c.added_tokens.dump() << piece;
    }
    EXPECT_EQ(tokenizer.notes().size(), c.notes) << c.added_tokens.dump();
  }
  EXPECT_EQ(load(edited("/added_tokens/0/id", "300")).notes(),
            (std::vector<std::string>{"tokenizer.json: /added_tokens/0: token \"<|end|>\" has id "
                                      "300, but as in other readers it gets 260"}));
}

TEST(TokenizerJson, TheLastOfAnAddedTokensFlagsWin) {
  json file = small_tokenizer();
  file["added_tokens"] = {added("<x>", 260, "special"), added("<x>", 260, "lstrip")};
  const Tokenizer tokenizer = load(file);
  EXPECT_EQ(pieces(tokenizer, "a <x>"), "|a| <x>|");
  EXPECT_TRUE(tokenizer.is_special(260));  // once special, always so
}

TEST(TokenizerJson, RefusesBrokenJsonWithItsPlace) {
  EXPECT_EQ(
      error_text<DataError>([] { tokenizer_from_json("{\"a\": 1, \"a\": 2}", "tokenizer.json"); }),
      "tokenizer.json: line 1, column 10: key \"a\" is given twice in one object");
  EXPECT_EQ(error_text<DataError>([] { tokenizer_from_json("[]", "tokenizer.json"); }),
            "tokenizer.json: expected an object, found array");
}

TEST(TokenizerJson, ReadsTheOldestFiles) {
  // GPT-2's own: no "type", empty affixes, merges as strings below a version line, an unk that is
  // not there.
  json file = small_tokenizer();
  file["model"].erase("type");
  file["model"]["unk_token"] = "";
  file["model"]["continuing_subword_prefix"] = "";
  file["model"]["merges"] = {"#version: 0.2 - by others", "a b", "ab c"};
  file["pre_tokenizer"]["pretokenizers"][1].erase("use_regex");
  const Tokenizer tokenizer = load(file);
  EXPECT_EQ(pieces(tokenizer, "abc abcd's"), "|abc| |abc|d|'|s|");
}

TEST(TokenizerJson, SplitsByEveryBehavior) {
  const struct {
    std::string behavior;
    bool invert;
    std::string pieces;  // of "a--b-", where nothing merges but the pieces of one part
  } cases[] = {
      {"Removed", false, "|a|b|"},
      {"Isolated", false, "|a|-|-|b|-|"},
      {"MergedWithPrevious", false, "|a-|-|b-|"},
      {"MergedWithNext", false, "|a|-|-b|-|"},
      {"Contiguous", false, "|a|--|b|-|"},
      {"Removed", true, "|-|-|-|"},
      {"Isolated", true, "|a|-|-|b|-|"},
      {"MergedWithPrevious", true, "|a|-|-b|-|"},
      {"MergedWithNext", true, "|a-|-|b-|"},
      {"Contiguous", true, "|a|--|b|-|"},
  };
  json file = small_tokenizer();
  // All that lies in one piece becomes one token.
  file["model"]["vocab"].update(
      {{"a-", 260}, {"b-", 261}, {"-b", 262}, {"--", 263}, {"a--", 264}, {"a--b-", 265}});
  file["model"]["ignore_merges"] = true;
  file["added_tokens"] = json::array();
  file["pre_tokenizer"]["pretokenizers"][1]["use_regex"] = false;
  json& split = file["pre_tokenizer"]["pretokenizers"][0];
  for (const auto& c : cases) {
    split["behavior"] = c.behavior;
    split["invert"] = c.invert;
    for (const json& pattern : {json{{"Regex", "-"}}, json{{"String", "-"}}}) {
      split["pattern"] = pattern;
      EXPECT_EQ(pieces(load(file), "a--b-"), c.pieces) << c.behavior << c.invert;
    }
  }
}

TEST(TokenizerJson, SplitsDigitsAloneOrTogether) {
  json file = small_tokenizer();
  file["model"]["vocab"].update({{"12", 260}, {"a1", 261}});
  file["model"]["merges"] = {"1 2", "a 1"};
  file["added_tokens"] = json::array();
  json& steps = file["pre_tokenizer"]["pretokenizers"];
  steps[1]["use_regex"] = false;
  steps[0] = {{"type", "Digits"}, {"individual_digits", true}};
  EXPECT_EQ(pieces(load(file), "a12"), "|a|1|2|");
  steps[0]["individual_digits"] = false;
  EXPECT_EQ(pieces(load(file), "a12"), "|a|12|");
}

TEST(TokenizerJson, PrefixesABlankThatBelongsToNoText) {
  json file = small_tokenizer();
  file["normalizer"] = {{"type", "NFC"}};
  file["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = true;
  const Tokenizer tokenizer = load(file);
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("xy")), " xy");
  EXPECT_EQ(tokenizer.decode(tokenizer.encode(" xy")), " xy");
  // One in front of every piece of the split before, and of every stretch between added tokens.
  EXPECT_EQ(tokenizer.decode(tokenizer.encode("xy-e\u0301<|end|>z")), " xy - \u00e9<|end|> z");
  EXPECT_EQ(pieces(tokenizer, "xy-e\u0301<|end|>z"), "||xy||-||e\u0301|e\u0301|<|end|>||z|");
  EXPECT_EQ(tokenizer.encode(""), (std::vector<i32>{}));
}

TEST(TokenizerJson, FindsAddedTokensAsTheirFlagsSay) {
  json file = small_tokenizer();
  file["normalizer"] = {{"type", "NFC"}};
  file["added_tokens"] = {added("<l>", 260, "lstrip special"),
                          added("<r>", 261, "rstrip"),
                          added("<both>", 262, "lstrip rstrip"),
                          added("word", 263, "word"),
                          added("wordy", 264),
                          added("e\u0301", 265, "normalized"),
                          added("o\u0308", 266),
                          added("<|end|>", 267, "special")};
  const Tokenizer tokenizer = load(file);
  const struct {
    std::string text;
    std::string pieces;
  } cases[] = {
      {"x \u2003<l> y", "|x| \u2003<l>| |y|"},
      {"x <r> \n y", "|x| |<r> \n |y|"},
      {"<r> <l> <both> z", "|<r> |<l>| <both> |z|"},  // a blank is taken once
      {"word words sword _word word", "|word| |w|o|r|d|s| |s|w|o|r|d| |_|w|o|r|d| |word|"},
      {"wordy", "|wordy|"},                         // the longest wins
      {"\u00e9 e\u0301", "|\u00e9| |e\u0301|"},     // found composed in composed text
      {"o\u0308 \u00f6", "|o\u0308| |\xC3|\xB6|"},  // found in raw text, as it is
  };
  for (const auto& c : cases) {
    EXPECT_EQ(pieces(tokenizer, c.text), c.pieces) << c.text;
  }
  EXPECT_EQ(tokenizer.encode("\u00e9"), (std::vector<i32>{265}));
  EXPECT_EQ(tokenizer.decode(std::vector<i32>{266}), "o\u0308");
  // Special ones can be told to be text, others not.
  EXPECT_EQ(pieces(tokenizer, "<l><r><|end|>", {.parse_special = false}),
            "|<|l|>|<r>|<|||e|n|d|||>|");
}

TEST(TokenizerJson, AddsTheTokensOfTheTemplate) {
  json file = small_tokenizer();
  file["post_processor"] = parse_json(
      R"({"type": "Sequence", "processors": [
            {"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": false},
            {"type": "TemplateProcessing",
             "single": [{"SpecialToken": {"id": "two", "type_id": 0}},
                        {"Sequence": {"id": "A", "type_id": 0}},
                        {"SpecialToken": {"id": "end", "type_id": 0}}],
             "pair": [], "special_tokens": {"two": {"id": "two", "ids": [65, 66]},
                                            "end": {"id": "end", "ids": [260]}}}]})",
      "template");
  Tokenizer tokenizer = load(file);
  EXPECT_EQ(tokenizer.encode("!"), (std::vector<i32>{65, 66, 33, 260}));
  EXPECT_EQ(tokenizer.encode(""), (std::vector<i32>{65, 66, 260}));
  EXPECT_EQ(tokenizer.encode("!", {.add_special_tokens = false}), (std::vector<i32>{33}));
  for (const std::string type : {"BertProcessing", "RobertaProcessing"}) {
    file["post_processor"] = {{"type", type}, {"sep", {"<|end|>", 260}}, {"cls", {"A", 65}}};
    EXPECT_EQ(load(file).encode("!"), (std::vector<i32>{65, 33, 260}));
  }
}

TEST(TokenizerJson, DecodesPiecesOutsideOfTheAlphabetAsTheyAre) {
  json file = small_tokenizer();
  file["added_tokens"] = {added("two words", 260), added("\u4f60", 261)};
  const Tokenizer tokenizer = load(file);
  EXPECT_EQ(tokenizer.decode(std::vector<i32>{260, 261}), "two words\u4f60");
  EXPECT_EQ(tokenizer.piece(261), "\u4f60");
  EXPECT_EQ(tokenizer.encode("two words\u4f60"), (std::vector<i32>{260, 261}));
}

TEST(TokenizerJson, TellsThatAPatternTakesTooLong) {
  json file = small_tokenizer();
  file["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = "(a+)+$";
  const Tokenizer tokenizer = load(file);
  EXPECT_EQ(error_text<DataError>([&] {
              tokenizer.encode(std::string(10'000, 'a') + "b");
            }).substr(0, 52),
            "the regular expression \"(a+)+$\" takes too many steps");
}

}  // namespace
}  // namespace inlay
