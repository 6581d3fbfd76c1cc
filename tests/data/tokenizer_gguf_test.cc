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
      {[](auto& d) { d.model = "llama"; },
       key + "model: \"llama\" is not supported; supported is gpt2"},
      {[](auto& d) { d.pre = "qwen"; },
       key + "pre: \"qwen\" is not supported; supported are gpt-2, phi-2, mpt, olmo, jais, "
             "exaone4, trillion, smollm, starcoder, refact, command-r, codeshell, exaone, "
             "minerva-7b, llama-bpe, llama3, llama-v3, falcon3, falcon-h1, lfm2, dbrx, smaug-bpe, "
             "qwen2, deepseek-r1-qwen, stablelm2, hunyuan, megrez, default"},
      {[](auto& d) { d.pre = ""; },
       key + "pre is missing, so how to split text is not known; give a tokenizer.json instead"},
      {[](auto& d) { d.add_space_prefix = true; },
       key + "add_space_prefix: is true, which no tokenizer of model gpt2 follows"},
      {[](auto& d) { d.token_types.pop_back(); },
       key + "token_type: has 259 elements for 260 tokens"},
      {[](auto& d) { d.token_types[7] = 77; },
       key + "token_type: element 7: 77 is not a type; types are from 0 to 6"},
      {[](auto& d) { d.tokens[7] = d.tokens[9]; },
       key + "tokens: element 9: token \"\u0109\" is given twice, with ids 7 and 9"},
      {[](auto& d) { d.tokens[7] = "a\xFF"; },
       key + "tokens: element 7: the token: byte 0xff at offset 1 is not UTF-8"},
      {[](auto& d) { d.merges[1] = "ab"; },
       key + "merges: element 1: \"ab\" is not two pieces with a blank between"},
      {[](auto& d) { d.merges[1] = "a c"; },
       key + "merges: element 1: merges \"a\" and \"c\", but \"ac\" is not in the vocabulary"},
      {[](auto& d) { d.merges[0] = "a b c"; },
       key + "merges: element 0: merges \"a\" and \"b c\", but \"b c\" is not in the vocabulary"},
      {[](auto& d) { d.bos_id = 260; }, key + "bos_token_id: there is no token with id 260"},
      {[](auto& d) { d.eos_id = -1; }, key + "eos_token_id: there is no token with id -1"},
      {[](auto& d) { d.pad_id = i64{1} << 40; },
       key + "padding_token_id: there is no token with id 1099511627776"},
      {[](auto& d) { d.unk_id = 999; }, key + "unknown_token_id: there is no token with id 999"},
      {[](auto& d) { d.eot_id = 999; }, key + "eot_token_id: there is no token with id 999"},
      {[](auto& d) {
         d.add_bos = true;
         d.bos_id.reset();
       },
       key + "bos_token_id: is missing, but bos is to be added to texts"},
      {[](auto& d) {
         d.add_eos = true;
         d.eos_id.reset();
       },
       key + "eos_token_id: is missing, but eos is to be added to texts"},
  };
  for (const auto& c : cases) {
    GgufTokenizerData data = small_tokenizer("gpt-2");
    c.edit(data);
    EXPECT_EQ(error_of(data), c.error);
  }
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
          {ggml + "add_bos_token", false},
          {"tokenizer.chat_template", std::string("one")},
          {"tokenizer.chat_templates", GgufArray::of(std::vector<std::string>{"tools"})},
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
  EXPECT_EQ(tokenizer.eos_ids(), (std::vector<i32>{258, 5}));
  ASSERT_EQ(tokenizer.chat_templates().size(), 2U);
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
  EXPECT_EQ(error_with("tokenizer.ggml.model", std::string("llama")),
            ": tokenizer.ggml.model: \"llama\" is not supported; supported is gpt2");
  EXPECT_EQ(error_with("tokenizer.ggml.tokens", std::string("a")).substr(0, 36),
            ": \"tokenizer.ggml.tokens\": expected ");
  EXPECT_EQ(error_with("tokenizer.ggml.bos_token_id", u32{999}),
            ": tokenizer.ggml.bos_token_id: there is no token with id 999");
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
