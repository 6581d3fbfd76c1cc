// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer_training/word_counts.h"

#include <utility>

#include "core/parallel.h"

namespace inlay {
namespace {

/// Texts wait until there are so many bytes of them: enough for every processor, little memory.
constexpr i64 kBatchBytes = 8 << 20;
/// Texts of one task; small enough for an even load, large enough for their words to come again.
constexpr i64 kTextsPerTask = 512;

}  // namespace

void WordCounts::add(std::string_view word, i64 count) {
  bytes_ += static_cast<i64>(word.size()) * count;
  if (const auto found = places_.find(word); found != places_.end()) {
    words_[static_cast<std::size_t>(found->second)].count += count;
    return;
  }
  const auto place = places_.emplace(std::string(word), static_cast<i64>(words_.size())).first;
  words_.push_back({&place->first, count});
}

void WordCounter::add(std::string text) {
  waiting_bytes_ += static_cast<i64>(text.size());
  waiting_.push_back(std::move(text));
  if (waiting_bytes_ >= kBatchBytes) {
    flush();
  }
}

const WordCounts& WordCounter::counts() {
  flush();
  return counts_;
}

void WordCounter::flush() {
  const i64 texts = static_cast<i64>(waiting_.size());
  std::vector<WordCounts> parts(
      static_cast<std::size_t>((texts + kTextsPerTask - 1) / kTextsPerTask));
  parallel_rows(texts, kTextsPerTask, [&](i64 begin, i64 end) {
    WordCounts& part = parts[static_cast<std::size_t>(begin / kTextsPerTask)];
    for (i64 i = begin; i < end; ++i) {
      AlignedText text(waiting_[static_cast<std::size_t>(i)], 0, /*aligned=*/false);
      for (const ByteRange& word : splitter_.split(text)) {
        part.add(text.text().substr(static_cast<std::size_t>(word.begin),
                                    static_cast<std::size_t>(word.end - word.begin)));
      }
    }
  });
  for (const WordCounts& part : parts) {
    for (const WordCounts::Word& word : part.words()) {
      counts_.add(*word.text, word.count);
    }
  }
  waiting_.clear();
  waiting_bytes_ = 0;
}

}  // namespace inlay
