// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer_training/bpe_trainer.h"

#include <algorithm>
#include <array>
#include <optional>
#include <string_view>
#include <unordered_map>

#include "core/error.h"
#include "data/text/utf8.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/vocabulary.h"

// Counting all pairs anew after each merge would read the whole text for each token. Instead every
// pair knows the words it stands in, and a merge looks at those alone: it takes away the pairs that
// end there and adds those that begin.
//
// Candidates wait in a heap with the count they had when they were put there. Counts of pairs that
// are there only shrink, so the top of the heap is a bound: one whose count has shrunk meanwhile is
// put back with its new one, and one that has not is the most frequent pair.
//
// One piece may come of several merges ("a ba" and "ab a"). The second such merge makes pairs that
// have a candidate already; they get another one, with the new words only. The tokenizers package
// does so, and leaves the count of a merged pair as it was: so it is done here, to get its merges.
namespace inlay {
namespace {

/// Two neighbours; ordered by the left one, then by the right one.
using Pair = u64;

Pair pair_of(i32 left, i32 right) {
  return static_cast<u64>(static_cast<u32>(left)) << 32 | static_cast<u32>(right);
}
i32 left_of(Pair pair) {
  return static_cast<i32>(pair >> 32);
}
i32 right_of(Pair pair) {
  return static_cast<i32>(pair & 0xFFFFFFFFU);
}

/// Indices of words, ascending.
using WordList = std::vector<i32>;

void add_word(WordList& words, i32 word) {
  // A pair's second place in a word comes right after the first.
  if (words.empty() || words.back() != word) {
    words.push_back(word);
  }
}

/// A pair and the words it is to be merged in.
struct Candidate {
  Pair pair;
  i64 count;
  i64 number;  // the older one of a pair comes first
  WordList words;

  /// The heap's order: its top is the greatest.
  bool operator<(const Candidate& other) const {
    if (count != other.count) {
      return count < other.count;
    }
    return pair != other.pair ? pair > other.pair : number > other.number;
  }
};

/// The words as tokens, all in one array.
class TokenWords {
 public:
  TokenWords(const WordCounts& counts, const std::array<i32, 256>& byte_ids) {
    words_.reserve(counts.words().size());
    for (const WordCounts::Word& word : counts.words()) {
      words_.push_back(
          {static_cast<i64>(tokens_.size()), static_cast<i64>(word.text->size()), word.count});
      for (const char byte : *word.text) {
        tokens_.push_back(byte_ids[static_cast<u8>(byte)]);
      }
    }
  }

  i32 size() const { return static_cast<i32>(words_.size()); }
  i64 count(i32 word) const { return words_[static_cast<std::size_t>(word)].count; }
  std::span<const i32> tokens(i32 word) const {
    const Word& w = words_[static_cast<std::size_t>(word)];
    return std::span(tokens_).subspan(static_cast<std::size_t>(w.begin),
                                      static_cast<std::size_t>(w.length));
  }

  /// Puts `id` for each `pair` in `word`, from the left. Calls change(pair, ±1) for the neighbours
  /// that part and meet by it.
  template <class Change>
  void merge(i32 word, Pair pair, i32 id, const Change& change) {
    Word& w = words_[static_cast<std::size_t>(word)];
    i32* const token = tokens_.data() + w.begin;
    const i32 left = left_of(pair);
    const i32 right = right_of(pair);
    i64 out = 0;
    for (i64 in = 0; in < w.length; ++out) {
      if (token[in] != left || in + 1 == w.length || token[in + 1] != right) {
        token[out] = token[in++];
        continue;
      }
      in += 2;
      if (out > 0) {
        change(pair_of(token[out - 1], left), -1);
        change(pair_of(token[out - 1], id), +1);
      }
      if (in < w.length) {
        change(pair_of(right, token[in]), -1);
        change(pair_of(id, token[in]), +1);
      }
      token[out] = id;
    }
    w.length = out;
  }

 private:
  struct Word {
    i64 begin;
    i64 length;
    i64 count;
  };
  std::vector<i32> tokens_;
  std::vector<Word> words_;
};

class Trainer {
 public:
  Trainer(const WordCounts& words, const BpeTrainerOptions& options)
      : options_(options), words_(words, start_vocabulary()) {}

  TrainedBpe train() {
    count_pairs();
    while (static_cast<i64>(trained_.pieces.size()) < options_.vocab_size) {
      std::optional<Candidate> most_frequent = take_most_frequent();
      if (!most_frequent || most_frequent->count < std::max(options_.min_frequency, i64{1})) {
        break;
      }
      merge(*most_frequent);
    }
    drop_repeated_merges();
    for (i32 word = 0; word < words_.size(); ++word) {
      trained_.tokens += words_.count(word) * static_cast<i64>(words_.tokens(word).size());
    }
    return std::move(trained_);
  }

 private:
  i32 add_piece(std::string piece) {
    const auto [found, is_new] =
        ids_.emplace(std::move(piece), static_cast<i32>(trained_.pieces.size()));
    if (is_new) {
      trained_.pieces.push_back(found->first);
    }
    return found->second;
  }

  /// The special tokens, then the letters of the bytes in the order of their code points. Returns
  /// the bytes' ids.
  std::array<i32, 256> start_vocabulary() {
    for (const std::string& token : options_.special_tokens) {
      add_piece(token);
    }
    std::vector<std::pair<char32_t, int>> letters;
    letters.reserve(256);
    for (int byte = 0; byte < 256; ++byte) {
      letters.emplace_back(code_point_at(byte_letter(static_cast<u8>(byte)), 0).value, byte);
    }
    std::ranges::sort(letters);
    std::array<i32, 256> ids{};
    for (const auto& [letter, byte] : letters) {
      ids[static_cast<std::size_t>(byte)] = add_piece(byte_letter(static_cast<u8>(byte)));
    }
    return ids;
  }

  void count_pairs() {
    for (i32 word = 0; word < words_.size(); ++word) {
      const std::span<const i32> tokens = words_.tokens(word);
      for (std::size_t i = 1; i < tokens.size(); ++i) {
        change_count(pair_of(tokens[i - 1], tokens[i]), +1, word);
      }
    }
    queue_new_pairs();
  }

  void change_count(Pair pair, i64 change, i32 word) {
    counts_[pair] += change * words_.count(word);
    if (change > 0) {
      const auto [found, is_new] = new_places_.emplace(pair, static_cast<i64>(new_pairs_.size()));
      if (is_new) {
        new_pairs_.push_back({pair, {}});
      }
      add_word(new_pairs_[static_cast<std::size_t>(found->second)].words, word);
    }
  }

  void queue_new_pairs() {
    for (NewPair& fresh : new_pairs_) {
      // It may have come and gone within one merge.
      if (const i64 count = counts_[fresh.pair]; count > 0) {
        push({fresh.pair, count, next_number_++, std::move(fresh.words)});
      }
    }
    new_pairs_.clear();
    new_places_.clear();
  }

  void push(Candidate candidate) {
    heap_.push_back(std::move(candidate));
    std::push_heap(heap_.begin(), heap_.end());
  }

  std::optional<Candidate> take_most_frequent() {
    while (!heap_.empty()) {
      std::pop_heap(heap_.begin(), heap_.end());
      Candidate top = std::move(heap_.back());
      heap_.pop_back();
      const i64 count = counts_[top.pair];
      if (count == top.count) {
        return top;
      }
      if (count > 0) {
        top.count = count;
        push(std::move(top));
      }
    }
    return std::nullopt;
  }

  void merge(const Candidate& candidate) {
    const auto piece = [&](i32 id) { return trained_.pieces[static_cast<std::size_t>(id)]; };
    const i32 id = add_piece(piece(left_of(candidate.pair)) + piece(right_of(candidate.pair)));
    trained_.merges.emplace_back(left_of(candidate.pair), right_of(candidate.pair));
    for (const i32 word : candidate.words) {
      words_.merge(word, candidate.pair, id,
                   [&](Pair pair, i64 change) { change_count(pair, change, word); });
    }
    queue_new_pairs();
  }

  /// Of the merges of one pair the last counts.
  void drop_repeated_merges() {
    std::unordered_map<Pair, std::size_t> last;
    for (std::size_t i = 0; i < trained_.merges.size(); ++i) {
      last[pair_of(trained_.merges[i].first, trained_.merges[i].second)] = i;
    }
    std::size_t i = 0;
    std::erase_if(trained_.merges, [&](const std::pair<i32, i32>& merge) {
      return last[pair_of(merge.first, merge.second)] != i++;
    });
  }

  struct NewPair {
    Pair pair;
    WordList words;
  };

  const BpeTrainerOptions& options_;
  TrainedBpe trained_;
  std::unordered_map<std::string, i32, StringHash, std::equal_to<>> ids_;
  TokenWords words_;
  std::unordered_map<Pair, i64> counts_;
  std::vector<Candidate> heap_;
  i64 next_number_ = 0;
  // Pairs that have come since the last queue_new_pairs(), in order, and their places.
  std::vector<NewPair> new_pairs_;
  std::unordered_map<Pair, i64> new_places_;
};

}  // namespace

TrainedBpe train_bpe(const WordCounts& words, const BpeTrainerOptions& options) {
  return Trainer(words, options).train();
}

}  // namespace inlay
