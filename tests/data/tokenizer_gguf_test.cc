// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <functional>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/io/atomic.h"
#include "core/io/gguf.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/load.h"
#include "tests/data/pieces.h"
#include "tests/support/error_text.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

/// The 256 bytes with their values as ids, two merges, a control token and one of the user's.
GgufTokenizerData small_tokenizer(const std::string& pre) {
  GgufTokenizerData data;
  data.model = "gpt2";
  data.pre = pre;
  for (int byte = 0; byte < 256; ++byte) {
    data.tokens.push_back(byte_letter(static_cast<u8>(byte)));
  }
  for (const char* piece : {"ab", "12", "<|end|>", "two  blanks"}) {
    data.tokens.emplace_back(piece);
  }
  data.token_types.assign(data.tokens.size(), 1);
  data.token_types[258] = 3;
  data.token_types[259] = 4;
  data.merges = {"a b", "1 2"};
  data.bos_id = data.eos_id = 258;
  return data;
}

std::string error_of(const GgufTokenizerData& data) {
  return error_text<DataError>([&] { tokenizer_from_gguf(data, "model.gguf"); });
}

TEST(TokenizerGguf, SplitsAsItsPreTokenizerSays) {
  const struct {
    std::string pre;
    std::string pieces;  // of "ab12123!ab": digits together, alone, by three
  } cases[] = {
      {"gpt-2", "|ab|12|12|3|!|ab|"},    {"phi-2", "|ab|12|12|3|!|ab|"},
      {"smollm", "|ab|1|2|1|2|3|!|ab|"}, {"starcoder", "|ab|1|2|1|2|3|!|ab|"},
      {"dbrx", "|ab|12|1|2|3|!|ab|"},    {"llama-bpe", "||ab|12|1|2|3|!|ab|"},
      {"llama3", "||ab|12|1|2|3|!|ab|"}, {"llama-v3", "||ab|12|1|2|3|!|ab|"},
      {"qwen2", "|ab|1|2|1|2|3|!|ab|"},  {"default", "|ab|12|1|2|3|!|ab|"},
      {"falcon", "|ab|12|1|2|3|!|ab|"},  {"deepseek-coder", "|ab|1|2|1|2|3|!|ab|"},
      {"tiny_aya", "|ab|12|12|3|!|ab|"},
  };
  for (const auto& c : cases) {
    EXPECT_EQ(pieces(tokenizer_from_gguf(small_tokenizer(c.pre), "model.gguf"), "ab12123!ab"),
              c.pieces)
        << c.pre;
  }
}

TEST(TokenizerGguf, NormalisesForQwenAlone) {
  const std::string text = "e\u0301";
  EXPECT_EQ(tokenizer_from_gguf(small_tokenizer("qwen2"), "m").encode(text),
            (std::vector<i32>{0xC3, 0xA9}));
  EXPECT_EQ(tokenizer_from_gguf(small_tokenizer("gpt-2"), "m").encode(text),
            (std::vector<i32>{'e', 0xCC, 0x81}));
}

TEST(TokenizerGguf, FindsControlAndUserTokens) {
  const Tokenizer tokenizer = tokenizer_from_gguf(small_tokenizer("gpt-2"), "model.gguf");
  EXPECT_EQ(pieces(tokenizer, "two  blanks<|end|>"), "|two  blanks|<|end|>|");
  EXPECT_EQ(pieces(tokenizer, "two  blanks<|end|>", {.parse_special = false}),
            "|two  blanks|<|||e|n|d|||>|");
  EXPECT_TRUE(tokenizer.is_special(258));
  EXPECT_FALSE(tokenizer.is_special(259));
  EXPECT_EQ(tokenizer.decode(std::vector<i32>{259, 258}), "two  blanks<|end|>");
}

TEST(TokenizerGguf, AddsBosAndEosAsToldOrAsUsual) {
  GgufTokenizerData data = small_tokenizer("llama-bpe");
  EXPECT_EQ(tokenizer_from_gguf(data, "m").encode("!"), (std::vector<i32>{258, '!'}));
  data.add_bos = false;
  data.add_eos = true;
  EXPECT_EQ(tokenizer_from_gguf(data, "m").encode("!"), (std::vector<i32>{'!', 258}));
  data = small_tokenizer("gpt-2");
  EXPECT_EQ(tokenizer_from_gguf(data, "m").encode("!"), (std::vector<i32>{'!'}));
}

TEST(TokenizerGguf, DropsBytesWithoutATokenAsLlamaCppDoes) {
  GgufTokenizerData data = small_tokenizer("gpt-2");
  data.tokens['z'] = "<z>";
  data.unk_id = 258;
  EXPECT_EQ(tokenizer_from_gguf(data, "m").encode("yz!"), (std::vector<i32>{'y', '!'}));
}

TEST(TokenizerGguf, KnowsItsSpecialIdsAndTemplates) {
  GgufTokenizerData data = small_tokenizer("gpt-2");
  data.pad_id = 3;
  data.unk_id = 4;
  data.eot_id = 5;
  data.chat_templates = {{"default", "{{ messages }}"}};
  const Tokenizer tokenizer = tokenizer_from_gguf(data, "model.gguf");
  EXPECT_EQ(tokenizer.bos_id(), 258);
  EXPECT_EQ(tokenizer.eos_id(), 258);
  EXPECT_EQ(tokenizer.pad_id(), 3);
  EXPECT_EQ(tokenizer.unk_id(), 4);
  EXPECT_EQ(tokenizer.eos_ids(), (std::vector<i32>{258, 5}));
  EXPECT_EQ(tokenizer.chat_templates().at(0).text, "{{ messages }}");
}

TEST(TokenizerGguf, RefusesWhatIsWrongOrNotSupported) {
  const std::string key = "model.gguf: tokenizer.ggml.";
  const struct {
    std::function<void(GgufTokenizerData&)> edit;
    std::string error;
  } cases[] = {
      {[](auto& d) { d.model = "bert"; },
       key + "model: \"bert\" is not supported; supported are gpt2, llama and gemma4"},
      {[](auto& d) { d.model = "llama"; }, key + "scores: has 0 elements for 260 tokens"},
      {[](auto& d) { d.pre = "qwen"; },
       key +
           "pre: \"qwen\" is not supported; supported are gpt-2, phi-2, mpt, olmo, jais, "
           "exaone4, trillion, granite-docling, gigachat, a.x-4.0, mellum, roberta-bpe, smollm, "
           "starcoder, refact, command-r, codeshell, exaone, minerva-7b, mellum2, llama-bpe, "
           "llama3, llama-v3, falcon3, falcon-h1, lfm2, pixtral, midm-2.0, dbrx, smaug-bpe, "
           "chatglm-bpe, glm4, glm5, qwen2, qwen35, deepseek-r1-qwen, stablelm2, hunyuan, megrez, "
           "kormo, solar-open, grok-2, gpt-4o, llama4, kanana2, minimax-m2, tiny_aya, cohere2moe, "
           "tekken, deepseek-v3, "
           "hunyuan-dense, joyai-llm, hy_v4, deepseek-coder, falcon, exaone-moe, seed-coder, "
           "bailingmoe, bailingmoe2, "
           "llada-moe, default"},
      {[](auto& d) { d.pre = ""; },
       key + "pre is missing, so how to split text is not known; give a tokenizer.json instead"},
      {[](auto& d) { d.add_space_prefix = true; },
       key + "add_space_prefix: is true, which no tokenizer of model gpt2 follows"},
      {[](auto& d) { d.token_types.pop_back(); },
       key + "token_type: has 259 elements for 260 tokens"},
      {[](auto& d) { d.tokens[7] = "a\xFF"; },
       key + "tokens: element 7: the token: byte 0xff at offset 1 is not UTF-8"},
      {[](auto& d) { d.merges[1] = "ab"; },
       key + "merges: element 1: \"ab\" is not two pieces with a blank between"},
      {[](auto& d) { d.merges[1] = "a c"; },
       key + "merges: element 1: merges \"a\" and \"c\", but \"ac\" is not in the vocabulary"},
      {[](auto& d) { d.merges[0] = "a b c"; },
       key + "merges: element 0: merges \"a\" and \"b c\", but \"b c\" is not in the vocabulary"},
      {[](auto& d) {
         d.add_bos = true;
         d.bos_id.reset();
       },
       key + "bos_token_id: is missing or no token's, but bos is to be added to texts"},
      {[](auto& d) {
         d.add_bos = true;
         d.bos_id = 4294967295;
       },
       key + "bos_token_id: is missing or no token's, but bos is to be added to texts"},
      {[](auto& d) {
         d.add_eos = true;
         d.eos_id.reset();
       },
       key + "eos_token_id: is missing or no token's, but eos is to be added to texts"},
  };
  for (const auto& c : cases) {
    GgufTokenizerData data = small_tokenizer("gpt-2");
    c.edit(data);
    EXPECT_EQ(error_of(data), c.error);
  }
}

/// small_tokenizer() with the five last tokens of other texts, all of one type.
GgufTokenizerData with_tokens(const std::vector<std::string>& texts, i64 type) {
  GgufTokenizerData data = small_tokenizer("gpt-2");
  for (const std::string& text : texts) {
    data.tokens.push_back(text);
    data.token_types.push_back(type);
  }
  data.bos_id = data.eos_id = std::nullopt;
  return data;
}

/// By llama.cpp's lists in llama-vocab.cpp: control whatever their type, and most end a text.
TEST(TokenizerGguf, KnowsControlTokensByTheirTexts) {
  const struct {
    std::string text;
    bool control;
    bool ends;
  } cases[] = {
      {"<|eot_id|>", true, true},
      {"<|im_end|>", true, true},
      {"<end_of_turn>", true, true},
      {"<|endoftext|>", true, true},
      {"<|end_of_text|>", true, true},
      {"<|eom_id|>", true, true},
      {"</s>", true, true},
      {"<EOT>", true, true},
      {"[EOT]", true, true},
      {"<eos>", true, true},
      {"<|return|>", true, true},
      {"<end_of_utterance>", true, true},
      {"<｜end▁of▁sentence｜>", true, true},
      {"<|file_sep|>", true, true},
      {"<|fim_pad|>", true, true},
      {"<|fim_prefix|>", true, false},
      {"<MID>", true, false},
      {"<|im_start|>", false, false},
      {"<s>", false, false},
      {"<|im_end|", false, false},
      {"<tool_call>", false, false},
  };
  for (const i64 type : {0, 1, 3, 4, 5, 6}) {
    for (const auto& c : cases) {
      const GgufTokenizerData data = with_tokens({c.text}, type);
      const Tokenizer tokenizer = tokenizer_from_gguf(data, "m");
      EXPECT_EQ(tokenizer.is_special(260), c.control || type == 3) << c.text << type;
      const bool whole = c.control || type == 3 || type == 4;
      EXPECT_EQ(pieces(tokenizer, "a" + c.text) == "|a|" + c.text + "|", whole) << c.text << type;
      const std::vector<i32> ends = c.ends ? std::vector<i32>{258, 260} : std::vector<i32>{258};
      EXPECT_EQ(tokenizer.eos_ids(), ends) << c.text << type;  // 258 is <|end|>
      EXPECT_EQ(tokenizer.notes().size(), c.control && type != 3 ? 1U : 0U) << c.text << type;
    }
  }
}

TEST(TokenizerGguf, KnowsThemWithoutTypes) {
  GgufTokenizerData data = with_tokens({"<|im_start|>", "<|im_end|>"}, 1);
  data.token_types.clear();
  const Tokenizer tokenizer = tokenizer_from_gguf(data, "m.gguf");
  EXPECT_EQ(pieces(tokenizer, "<|im_end|><|end|>"), "|<|im_end|>|<|end|>|");
  EXPECT_FALSE(tokenizer.is_special(260));
  EXPECT_EQ(tokenizer.notes(),
            (std::vector<std::string>{
                "m.gguf: tokenizer.ggml.token_type: \"<|end|>\" (258) and 1 other are not typed as "
                "control tokens, but are read as such"}));
}

TEST(TokenizerGguf, TakesTheTokensThatTheFileNamesForControlTokens) {
  GgufTokenizerData data = with_tokens({"<begin>", "<end>", "<turn>", "<message>"}, 1);
  data.bos_id = 260;
  data.eos_id = 261;
  data.eot_id = 262;
  data.eom_id = 263;
  data.fim_sep_id = 7;
  const Tokenizer tokenizer = tokenizer_from_gguf(data, "m");
  EXPECT_EQ(tokenizer.encode("<begin><end><turn><message>"),
            (std::vector<i32>{260, 261, 262, 263}));
  EXPECT_EQ(tokenizer.eos_ids(), (std::vector<i32>{261, 262, 263, 7, 258}));
  // But not what texts come to: a letter, or what a merge makes.
  data.eos_id = 'x';
  data.eot_id = 256;
  EXPECT_FALSE(tokenizer_from_gguf(data, "m").is_special('x'));
  EXPECT_FALSE(tokenizer_from_gguf(data, "m").is_special(256));
}

TEST(TokenizerGguf, LeavesTokensOutThatEndNothingBesideOthers) {
  // gpt-oss: <|end|> ends a message, <|return|> the answer.
  Tokenizer tokenizer = tokenizer_from_gguf(with_tokens({"<|return|>", "<|call|>"}, 3), "m");
  EXPECT_EQ(tokenizer.eos_ids(), (std::vector<i32>{260, 261}));
  EXPECT_FALSE(tokenizer.is_special(258));
  tokenizer = tokenizer_from_gguf(with_tokens({"<|flush|>", "<|calls|>"}, 3), "m");
  EXPECT_EQ(tokenizer.eos_ids(), (std::vector<i32>{260, 261}));
  tokenizer = tokenizer_from_gguf(with_tokens({"<|return|>"}, 3), "m");
  EXPECT_EQ(tokenizer.eos_ids(), (std::vector<i32>{258, 260}));
  tokenizer = tokenizer_from_gguf(with_tokens({"</s>", "<|tool_response>"}, 3), "m");
  EXPECT_EQ(tokenizer.eos_ids(), (std::vector<i32>{258, 261}));
  EXPECT_FALSE(tokenizer.is_special(260));
}

TEST(TokenizerGguf, IgnoresIdsThatAreNoTokens) {
  const struct {
    std::function<void(GgufTokenizerData&)> edit;
    std::string note;
  } cases[] = {
      {[](auto& d) { d.pad_id = 4294967295; },
       "padding_token_id: there is no token with id 4294967295; it is not used"},
      {[](auto& d) { d.pad_id = 260; },
       "padding_token_id: there is no token with id 260; it is not used"},
      {[](auto& d) { d.bos_id = 4294967295; },
       "bos_token_id: there is no token with id 4294967295; it is not used"},
      {[](auto& d) { d.eos_id = -1; },
       "eos_token_id: there is no token with id -1; it is not used"},
      {[](auto& d) { d.unk_id = i64{1} << 40; },
       "unknown_token_id: there is no token with id 1099511627776; it is not used"},
      {[](auto& d) { d.eot_id = 999; },
       "eot_token_id: there is no token with id 999; it is not used"},
      {[](auto& d) { d.eom_id = 999; },
       "eom_token_id: there is no token with id 999; it is not used"},
      {[](auto& d) { d.token_types[7] = 77; },
       "token_type: element 7: 77 is not a type; it is read as a piece like any other"},
  };
  for (const auto& c : cases) {
    GgufTokenizerData data = small_tokenizer("gpt-2");
    c.edit(data);
    const Tokenizer tokenizer = tokenizer_from_gguf(data, "model.gguf");
    EXPECT_EQ(tokenizer.notes(),
              (std::vector<std::string>{"model.gguf: tokenizer.ggml." + c.note}));
    EXPECT_EQ(tokenizer.encode("ab<|end|>"), (std::vector<i32>{256, 258}));
    EXPECT_EQ(tokenizer.eos_ids(), (std::vector<i32>{258}));
  }
}

TEST(TokenizerGguf, ReadsEmptyAndRepeatedTokens) {
  const struct {
    std::vector<std::string> texts;
    std::string text;
    std::vector<i32> ids;
    std::size_t notes;
  } cases[] = {
      {{"", "", ""}, "ab", {256}, 0},
      {{"[PAD1]", "[PAD1]"}, "ab[PAD1]", {256, 91, 80, 65, 68, 49, 93}, 1},
      {{"ab"}, "ab", {260}, 1},  // the last, as in Transformers
      {{"x"}, "xab", {260, 256}, 1},
      {{"<|end|>"}, "ab<|end|>", {256, 260}, 1},
      {{"", "<|end|>", "", "<|end|>"}, "<|end|>", {263}, 1},
  };
  for (const auto& c : cases) {
    const GgufTokenizerData data = with_tokens(c.texts, 1);
    const Tokenizer tokenizer = tokenizer_from_gguf(data, "m");
    EXPECT_EQ(tokenizer.encode(c.text), c.ids) << c.text;
    EXPECT_GE(tokenizer.notes().size(), c.notes);
    EXPECT_EQ(tokenizer.vocab_size(), 260 + static_cast<i64>(c.texts.size()));
    // Every id keeps its text.
    EXPECT_EQ(tokenizer.decode(std::vector<i32>{256, 258}), "ab<|end|>");
    EXPECT_EQ(tokenizer.piece(260), c.texts[0]);
  }
  EXPECT_EQ(tokenizer_from_gguf(with_tokens({"ab"}, 1), "m").notes(),
            (std::vector<std::string>{"m: tokenizer.ggml.tokens: element 260: \"ab\" is element "
                                      "256 already; texts are encoded to the last of such "
                                      "elements"}));
}

TEST(TokenizerGguf, TakesMoreTypesThanTokens) {
  GgufTokenizerData data = small_tokenizer("gpt-2");
  data.token_types.push_back(3);
  EXPECT_EQ(tokenizer_from_gguf(data, "m").encode("ab"), (std::vector<i32>{256}));
}

GgufMetadata metadata_of(const GgufTokenizerData& data) {
  const std::string ggml = "tokenizer.ggml.";
  const std::vector<i32> types(data.token_types.begin(), data.token_types.end());
  return {{"general.architecture", std::string("llama")},
          {ggml + "model", data.model},
          {ggml + "pre", data.pre},
          {ggml + "tokens", GgufArray::of(data.tokens)},
          {ggml + "token_type", GgufArray::of(types)},
          {ggml + "merges", GgufArray::of(data.merges)},
          {ggml + "bos_token_id", u32{258}},
          {ggml + "eos_token_id", u32{258}},
          {ggml + "padding_token_id", u32{3}},
          {ggml + "eot_token_id", u32{5}},
          {ggml + "eom_token_id", u32{6}},
          {ggml + "fim_pad_token_id", i32{7}},
          {ggml + "fim_rep_token_id", u32{8}},
          {ggml + "fim_sep_token_id", u32{9}},
          {ggml + "add_bos_token", false},
          {"tokenizer.chat_template", std::string("one")},
          {"tokenizer.chat_templates", GgufArray::of(std::vector<std::string>{"tools"})},
          {"tokenizer.chat_template.tool_use", std::string("three")},
          {"tokenizer.chat_template.tools", std::string("two")}};
}

TEST(TokenizerGguf, IsReadFromAFile) {
  const TempDirectory directory;
  const std::string path = directory.file("model.gguf");
  write_gguf(path, metadata_of(small_tokenizer("llama-bpe")), {});
  const Tokenizer tokenizer = load_tokenizer(path);
  EXPECT_EQ(pieces(tokenizer, "ab1<|end|>"), "|ab|1|<|end|>|");
  EXPECT_EQ(tokenizer.vocab_size(), 260);
  EXPECT_EQ(tokenizer.bos_id(), 258);
  EXPECT_EQ(tokenizer.pad_id(), 3);
  EXPECT_EQ(tokenizer.unk_id(), std::nullopt);
  EXPECT_EQ(tokenizer.eos_ids(), (std::vector<i32>{258, 5, 6, 7, 8, 9}));
  ASSERT_EQ(tokenizer.chat_templates().size(), 3U);
  EXPECT_EQ(tokenizer.chat_templates()[2].name, "tool_use");  // which the list leaves out
  EXPECT_EQ(tokenizer.chat_templates()[2].text, "three");
  using Tokens = std::map<std::string, std::string, std::less<>>;
  EXPECT_EQ(
      tokenizer.template_tokens(),
      (Tokens{{"bos_token", "<|end|>"}, {"eos_token", "<|end|>"}, {"pad_token", byte_letter(3)}}));
  EXPECT_EQ(tokenizer.chat_templates()[0].text, "one");
  EXPECT_EQ(tokenizer.chat_templates()[1].name, "tools");
  EXPECT_EQ(tokenizer.chat_templates()[1].text, "two");
}

TEST(TokenizerGguf, RefusesAFileWithoutOrWithABrokenTokenizer) {
  const TempDirectory directory;
  const std::string path = directory.file("model.gguf");
  const auto error_with = [&](const std::string& key, const GgufValue& value) -> std::string {
    GgufMetadata metadata = metadata_of(small_tokenizer("gpt-2"));
    for (auto& entry : metadata) {
      if (entry.first == key) {
        entry.second = value;
      }
    }
    write_gguf(path, metadata, {});
    try {
      load_tokenizer(path);
    } catch (const DataError& error) {
      return std::string(error.what()).substr(path.size());
    }
    return "no error";
  };
  EXPECT_EQ(
      error_with("tokenizer.ggml.model", std::string("bert")),
      ": tokenizer.ggml.model: \"bert\" is not supported; supported are gpt2, llama and gemma4");
  EXPECT_EQ(error_with("tokenizer.ggml.tokens", std::string("a")).substr(0, 36),
            ": \"tokenizer.ggml.tokens\": expected ");
  EXPECT_EQ(error_with("tokenizer.chat_template", std::string("a\xFF")),
            ": tokenizer.chat_template: default: byte 0xff at offset 1 is not UTF-8");
  write_gguf(path, {{"general.architecture", std::string("llama")}}, {});
  try {
    load_tokenizer(path);
    FAIL();
  } catch (const DataError& error) {
    EXPECT_NE(std::string(error.what()).find("tokenizer.ggml.model"), std::string::npos);
  }
}

}  // namespace
}  // namespace inlay
