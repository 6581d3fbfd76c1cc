// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "data/tokenizer/load.h"
#include "tests/support/golden.h"

namespace inlay {
namespace {

TEST(RealTokenizer, GivesTheIdsOfLlamaCpp) {
  const char* path = std::getenv("INLAY_REAL_MODEL");
  if (path == nullptr) {
    GTEST_SKIP() << "INLAY_REAL_MODEL does not name a SmolLM2-135M-Instruct .gguf file: its "
                    "tokenizer was not compared with llama.cpp's";
  }
  const nlohmann::json expected = read_json(golden("real/smollm2.json"));
  const Tokenizer tokenizer = load_tokenizer(path);
  EXPECT_EQ(tokenizer.vocab_size(), 49152);
  for (const auto& c : expected["cases"]) {
    const auto prompt = c["prompt"].get<std::string>();
    const auto ids = c["ids"].get<std::vector<i32>>();
    EXPECT_EQ(tokenizer.encode(prompt), ids) << prompt;
    EXPECT_EQ(tokenizer.decode(ids), prompt);
    EXPECT_EQ(tokenizer.decode(c["greedy"].get<std::vector<i32>>()),
              c["greedy_text"].get<std::string>());
  }
  const auto text = expected["text"]["text"].get<std::string>();
  const auto ids = expected["text"]["ids"].get<std::vector<i32>>();
  EXPECT_EQ(tokenizer.encode(text), ids);
  EXPECT_EQ(tokenizer.decode(ids), text);
}

}  // namespace
}  // namespace inlay
