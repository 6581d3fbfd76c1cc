// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace inlay {

/// What is known of a tokenizer's tokens before the files beside it are read.
struct TokenDefaults {
  /// The file with the vocabulary, for messages.
  std::string file = "tokenizer.json";
  /// "bos_token" and others, by the texts that the tokenizer's class begins with.
  std::vector<std::pair<std::string, std::string>> named = {};
  /// All added tokens are looked for before normalisation, whatever their flags.
  bool all_raw = false;
  /// bos and eos stand around texts where add_bos_token and add_eos_token of tokenizer_config.json
  /// say so: nothing else does, as tokenizer.json's post-processor would.
  bool put_around_by_flags = false;
};

}  // namespace inlay
