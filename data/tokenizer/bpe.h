// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/model.h"
#include "data/tokenizer/vocabulary.h"

namespace inlay {

struct BpeOptions {
  /// Stands for bytes that have no token; without it they are dropped.
  std::optional<i32> unk_id = std::nullopt;
  /// A run of such bytes becomes one unk instead of one each.
  bool fuse_unk = false;
  /// A piece that is a token is taken whole, whatever the merges would make of it.
  bool ignore_merges = false;
};

/// Byte-pair encoding (Sennrich et al. 2016, arXiv:1508.07909) over bytes (Radford et al. 2019).
///
/// A piece starts as its bytes. Of all neighbours that a merge names, those of the earliest merge,
/// and among them the leftmost, become one token, until no merge applies. Candidates wait in a heap
/// ordered by (rank, place), so n bytes take O(n log n): a word of 200 000 letters is no hazard.
class ByteLevelBpe final : public Model {
 public:
  /// `vocabulary`: pieces spelt in byte letters (byte_level.h), and possibly others, which no text
  /// reaches. Only read here.
  ByteLevelBpe(const Vocabulary& vocabulary, const BpeOptions& options);

  /// The next merge in rank. A pair that comes twice has the later rank. Throws DataError unless
  /// `left`, `right` and the two together are pieces.
  void add_merge(const Vocabulary& vocabulary, std::string_view left, std::string_view right);

  /// Makes room for this many merges in all.
  void reserve(i64 count) { merges_.reserve(count); }

  /// The first byte that has no token, if any.
  std::optional<u8> missing_byte() const;

  void encode(std::string_view piece, std::vector<PieceToken>& tokens) const override;

 private:
  struct Merge {
    i32 rank;
    i32 id;  // of the two together
  };
  struct Symbol;
  struct Candidate;

  const Merge* merge_of(i32 left, i32 right) const;
  std::vector<Symbol> symbols_of(std::string_view piece) const;
  void merge_all(std::vector<Symbol>& symbols) const;

  BpeOptions options_;
  std::array<i32, 256> byte_ids_;  // -1: none
  i32 next_rank_ = 0;
  std::unordered_map<u64, Merge> merges_;  // by left id << 32 | right id
  /// Where ignore_merges is set: tokens by the bytes they spell.
  std::unordered_map<std::string, i32, StringHash, std::equal_to<>> whole_;
};

}  // namespace inlay
