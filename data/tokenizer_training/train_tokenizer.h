// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/split_pattern.h"
#include "data/tokenizer_training/corpus.h"
#include "data/tokenizer_training/tokenizer_files.h"

namespace inlay {

struct TokenizerTrainingOptions {
  std::vector<std::string> files;  // see read_corpus
  std::string out;                 // folder to write
  bool overwrite = false;          // replace a tokenizer that is there
  i64 vocab_size = 0;
  i64 min_frequency = 0;
  SplitPattern pattern = SplitPattern::kGpt2;
  /// The first ids, in this order. Those that `roles` names and that are not here follow them.
  std::vector<std::string> special_tokens = {};
  SpecialTokenRoles roles = {};
};

struct TokenizerTrainingReport {
  CorpusSize corpus;
  i64 words = 0;  // different ones
  i64 vocab_size = 0;
  i64 merges = 0;
  i64 tokens = 0;  // that the corpus becomes
};

/// Trains a byte-level BPE tokenizer and writes its folder: tokenizer.json and
/// tokenizer_config.json, which appear together or not at all. Throws ConfigError when the options
/// cannot be followed, the folder is there and `overwrite` is not set, or something in it is no file
/// of a tokenizer's; DataError when there is no text; and what read_corpus throws.
TokenizerTrainingReport train_tokenizer(const TokenizerTrainingOptions& options);

}  // namespace inlay
