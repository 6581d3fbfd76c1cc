// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/config/json.h"
#include "tests/support/golden.h"

/// The tokenizers of tests/golden/tokenizers, which the tokenizers package made and ran.
namespace inlay {

inline const std::vector<std::string>& golden_styles() {
  static const std::vector<std::string> styles = {"gpt2_style",   "smollm_style",
                                                  "llama3_style", "qwen2_style",
                                                  "llama2_style", "unigram_t5_style"};
  return styles;
}

inline std::string golden_directory(const std::string& style) {
  return golden("tokenizers/" + style);
}

inline nlohmann::json golden_tokenizer_json(const std::string& style) {
  return read_json(golden_directory(style) + "/tokenizer.json");
}

/// A text and what the tokenizers package makes of it.
struct GoldenCase {
  std::string text;
  std::vector<i32> ids;
  std::vector<i32> ids_no_special;
  std::string decoded;       // of ids_no_special
  std::string decoded_skip;  // the same without special tokens
};

inline std::vector<GoldenCase> golden_cases(const std::string& style) {
  std::vector<GoldenCase> cases;
  for (const auto& json : read_json(golden_directory(style) + "/golden.json")) {
    cases.push_back(
        {json["text"], json["ids"], json["ids_no_special"], json["decoded"], json["decoded_skip"]});
  }
  return cases;
}

}  // namespace inlay
