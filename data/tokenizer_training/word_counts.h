// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer/vocabulary.h"

namespace inlay {

/// How often each word stands in a text. Words are the pieces that a pre-tokenizer makes.
class WordCounts {
 public:
  struct Word {
    const std::string* text;
    i64 count;
  };

  void add(std::string_view word, i64 count = 1);
  /// In the order of their first appearance.
  const std::vector<Word>& words() const { return words_; }
  /// Of all words together.
  i64 bytes() const { return bytes_; }

 private:
  // Keys stay where they are when the map grows.
  std::unordered_map<std::string, i64, StringHash, std::equal_to<>> places_;
  std::vector<Word> words_;
  i64 bytes_ = 0;
};

/// Counts the words of texts, many texts at a time on all threads; the result is that of one after
/// the other.
class WordCounter {
 public:
  /// `splitter` must outlive this.
  explicit WordCounter(const PreTokenizer& splitter) : splitter_(splitter) {}

  /// `text` is UTF-8. Throws DataError as PreTokenizer::split does, perhaps for one added before.
  void add(std::string text);
  /// What was added so far.
  const WordCounts& counts();

 private:
  void flush();

  const PreTokenizer& splitter_;
  std::vector<std::string> waiting_;
  i64 waiting_bytes_ = 0;
  WordCounts counts_;
};

}  // namespace inlay
