// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

#include "data/tokenizer/model.h"
#include "data/tokenizer/vocabulary.h"

namespace inlay {

/// Remembers what the model made of pieces: natural text repeats its words. For one thread.
class WordCache {
 public:
  /// The tokens of `piece`; good until the next call.
  const std::vector<PieceToken>& encode(const Model& model, std::string_view piece) {
    if (static_cast<i64>(piece.size()) > kMaxPiece) {
      uncached_.clear();
      model.encode(piece, uncached_);
      return uncached_;
    }
    const auto found = tokens_.find(piece);
    if (found != tokens_.end()) {
      return found->second;
    }
    if (static_cast<i64>(tokens_.size()) == kMaxPieces) {
      // Emptied whole: words that are common are back at once, and no order of use need be kept.
      tokens_.clear();
    }
    std::vector<PieceToken>& tokens = tokens_[std::string(piece)];
    model.encode(piece, tokens);
    return tokens;
  }

 private:
  /// Longer pieces seldom come again. Both limits together keep a full cache under some 10 MiB.
  static constexpr i64 kMaxPiece = 48;
  static constexpr i64 kMaxPieces = 1 << 16;

  std::unordered_map<std::string, std::vector<PieceToken>, StringHash, std::equal_to<>> tokens_;
  std::vector<PieceToken> uncached_;
};

/// Lends each caller a cache of its own, so that threads share what was learnt before but wait for
/// each other only to borrow and to return.
class WordCachePool {
 public:
  class Loan {
   public:
    explicit Loan(WordCachePool& pool) : pool_(pool), cache_(pool.take()) {}
    Loan(const Loan&) = delete;
    Loan& operator=(const Loan&) = delete;
    ~Loan() { pool_.give_back(std::move(cache_)); }
    WordCache& operator*() { return *cache_; }

   private:
    WordCachePool& pool_;
    std::unique_ptr<WordCache> cache_;
  };

 private:
  std::unique_ptr<WordCache> take() {
    const std::lock_guard lock(mutex_);
    if (idle_.empty()) {
      return std::make_unique<WordCache>();
    }
    std::unique_ptr<WordCache> cache = std::move(idle_.back());
    idle_.pop_back();
    return cache;
  }
  void give_back(std::unique_ptr<WordCache> cache) {
    const std::lock_guard lock(mutex_);
    idle_.push_back(std::move(cache));
  }

  std::mutex mutex_;
  std::vector<std::unique_ptr<WordCache>> idle_;
};

}  // namespace inlay
