// SPDX-License-Identifier: Apache-2.0

// Folders with a tokenizer.model and no tokenizer.json. Models by SentencePiece, ids and texts by
// Transformers: tests/peers/sentence_pieces.py wrote them.

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "core/error.h"
#include "core/io/atomic.h"
#include "data/tokenizer/load.h"
#include "data/tokenizer/sentence_model.h"
#include "tests/support/golden.h"
#include "tests/support/temp_directory.h"

namespace inlay {
namespace {

std::string golden_folder(const std::string& name) {
  return golden("sentence_pieces/" + name);
}

std::string model_bytes(const std::string& name) {
  std::ifstream file(golden_folder(name) + "/tokenizer.model", std::ios::binary);
  std::ostringstream bytes;
  bytes << file.rdbuf();
  return bytes.str();
}

class SentencePieces : public testing::TestWithParam<std::string> {};

TEST_P(SentencePieces, GiveTheIdsAndTextsOfTransformers) {
  const Tokenizer tokenizer = load_tokenizer(golden_folder(GetParam()));
  EXPECT_TRUE(tokenizer.notes().empty());
  const nlohmann::json rows = read_json(golden_folder(GetParam()) + "/golden.json");
  EXPECT_GT(rows.size(), 10U);
  for (const nlohmann::json& row : rows) {
    const std::string text = row["text"];
    const std::vector<i32> ids = row["ids"];
    EXPECT_EQ(tokenizer.encode(text), ids) << text;
    EXPECT_EQ(tokenizer.decode(ids), row["decoded"].get<std::string>()) << text;
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, SentencePieces,
                         testing::Values("llama-added", "llama-own", "mistral", "generic-own",
                                         "generic-unigram", "gemma", "t5"),
                         [](const auto& folder) {
                           std::string name = folder.param;
                           std::erase(name, '-');
                           return name;
                         });

TEST(SentencePieceFolder, NamesItsTokensByFilesAndByClass) {
  const Tokenizer llama = load_tokenizer(golden_folder("llama-added"));
  EXPECT_EQ(llama.bos_id(), 1);
  EXPECT_EQ(llama.piece(*llama.eos_id()), "<|im_end|>");
  EXPECT_TRUE(llama.is_special(*llama.eos_id()));
  const Tokenizer gemma = load_tokenizer(golden_folder("gemma"));
  EXPECT_EQ(gemma.pad_id(), 0);
  EXPECT_EQ(gemma.template_tokens().at("bos_token"), "<bos>");
}

TEST(SentencePieceFolder, IsTakenByItsFileToo) {
  const Tokenizer folder = load_tokenizer(golden_folder("mistral"));
  const Tokenizer file = load_tokenizer(golden_folder("mistral") + "/tokenizer.model");
  EXPECT_EQ(folder.encode("Hello <s> there"), file.encode("Hello <s> there"));
}

/// A folder with `model` as its tokenizer.model, and a tokenizer_config.json.
std::string refusal(const std::string& model, const std::string& config) {
  const TempDirectory directory;
  write_file(directory.file("tokenizer.model"), model);
  write_file(directory.file("tokenizer_config.json"), config);
  try {
    load_tokenizer(directory.path());
  } catch (const DataError& error) {
    std::string what = error.what();
    what.erase(0, directory.path().size() + 1);
    return what;
  }
  return "accepted";
}

TEST(SentencePieceFolder, RefusesInOneSentence) {
  const std::string model = model_bytes("mistral");
  const std::string no_model = "tokenizer.model: no SentencePiece model that can be read: ";
  EXPECT_EQ(refusal(model, "{}"), "accepted");
  EXPECT_EQ(refusal(model, R"({"tokenizer_class": "XLMRobertaTokenizer"})"),
            "tokenizer.model: tokenizer_class \"XLMRobertaTokenizer\" is not supported without a "
            "tokenizer.json; supported are LlamaTokenizer, GemmaTokenizer, T5Tokenizer and "
            "PreTrainedTokenizerFast");
  EXPECT_EQ(refusal(model, R"({"tokenizer_class": "T5Tokenizer"})"),
            "tokenizer.model: is a BPE model, but T5Tokenizer reads Unigram");
  EXPECT_EQ(refusal(model, R"({"add_bos_token": true, "bos_token": null})"),
            "tokenizer_config.json: /add_bos_token: is true, but there is no such token");
  EXPECT_EQ(refusal("", "{}"), no_model + "has no pieces");
  EXPECT_EQ(refusal(model.substr(0, 1000), "{}"), no_model + "ends within a field");
  // A vocabulary of OpenAI's kind, as the first files of Llama 3 are.
  EXPECT_EQ(refusal("IQ== 0\nIg== 1\n", "{}").substr(0, no_model.size()), no_model);
}

TEST(SentencePieceFolder, ASpoiltModelIsRefusedOrReadButNeverRunOver) {
  const std::string model = model_bytes("generic-unigram");
  for (std::size_t at = 0; at < model.size(); at += 7) {
    std::string spoilt = model;
    spoilt[at] = static_cast<char>(spoilt[at] ^ 0x5A);
    try {
      EXPECT_FALSE(parse_sentence_model(spoilt, "file").pieces.empty());
    } catch (const DataError& error) {
      EXPECT_EQ(std::string(error.what()).rfind("file: no SentencePiece model", 0), 0U);
    }
  }
}

}  // namespace
}  // namespace inlay
