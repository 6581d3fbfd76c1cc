// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/types.h"
#include "data/tokenizer_training/word_counts.h"

namespace inlay {

struct BpeTrainerOptions {
  /// Tokens in all: special ones, the 256 bytes, and one for each merge that makes a new piece.
  i64 vocab_size = 0;
  /// Pairs that stand in the text less often are not merged.
  i64 min_frequency = 0;
  /// Texts of the first tokens, each once.
  std::vector<std::string> special_tokens = {};
};

struct TrainedBpe {
  std::vector<std::string>
      pieces;  // by id, spelt in byte letters (byte_level.h) but for special ones
  std::vector<std::pair<i32, i32>> merges;  // in order
  i64 tokens = 0;  // that the words, each as often as it was counted, become
};

/// Trains byte-pair encoding over bytes (Sennrich et al. 2016, arXiv:1508.07909, algorithm 1): the
/// pair of neighbours that stands most often in `words` becomes a token, and so on until the
/// vocabulary is full or no pair is left. Of pairs that are equally frequent the one of the lowest
/// ids comes first. The merges are those of the tokenizers package's BpeTrainer.
///
/// REQUIRES: room for the special tokens and 256 bytes in the vocabulary.
TrainedBpe train_bpe(const WordCounts& words, const BpeTrainerOptions& options);

}  // namespace inlay
