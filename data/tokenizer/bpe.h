// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/merge_table.h"
#include "data/tokenizer/model.h"
#include "data/tokenizer/symbols.h"
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
/// and among them the leftmost, become one token, until no merge applies (symbols.h).
class ByteLevelBpe final : public Model {
 public:
  /// `vocabulary`: pieces spelt in byte letters (byte_level.h), and possibly others, which no text
  /// reaches. Only read here.
  ByteLevelBpe(const Vocabulary& vocabulary, const BpeOptions& options);

  MergeTable& merges() { return merges_; }

  /// The first byte that has no token, if any.
  std::optional<u8> missing_byte() const;

  void encode(std::string_view piece, std::vector<PieceToken>& tokens) const override;

 private:
  std::vector<Symbol> symbols_of(std::string_view piece) const;

  BpeOptions options_;
  std::array<i32, 256> byte_ids_;  // -1: none
  MergeTable merges_;
  /// Where ignore_merges is set: tokens by the bytes they spell.
  std::unordered_map<std::string, i32, StringHash, std::equal_to<>> whole_;
};

}  // namespace inlay
