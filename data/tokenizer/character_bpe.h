// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <functional>
#include <memory>
#include <optional>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/bpe.h"
#include "data/tokenizer/byte_tokens.h"
#include "data/tokenizer/joints.h"
#include "data/tokenizer/merge_table.h"
#include "data/tokenizer/model.h"
#include "data/tokenizer/vocabulary.h"

namespace inlay {

/// Byte-pair encoding over characters, as SentencePiece's vocabularies come in tokenizer.json.
///
/// A piece starts as its characters. One without a token becomes the tokens of its bytes, if all
/// are there, and else unk. Then neighbours are merged as in ByteLevelBpe.
class CharacterBpe final : public Model {
 public:
  /// `vocabulary`'s pieces must outlive this, its strings where they are: moving it is fine.
  CharacterBpe(const Vocabulary& vocabulary, const BpeOptions& options, bool byte_fallback);

  /// See MergeTable.
  void add_merge(const Vocabulary& vocabulary, std::string_view left, std::string_view right);
  void reserve(i64 count) { merges_.reserve(count); }

  /// Whether a character may be without any token, even of its bytes.
  bool needs_unk() const { return !bytes_.complete(); }

  /// Whether two neighbours may come to be in one token. Safe to keep longer than this.
  std::function<bool(char32_t, char32_t)> joined() const;

  void encode(std::string_view piece, std::vector<PieceToken>& tokens) const override;

 private:
  /// Tokens that are one character.
  struct Characters {
    std::array<i32, 128> ascii;
    std::unordered_map<char32_t, i32> others;
    i32 find(char32_t c) const;
  };

  std::vector<Symbol> symbols_of(std::string_view piece) const;
  void merge(std::string_view piece, std::vector<PieceToken>& tokens) const;
  std::unordered_set<char32_t> ends_of_unmerged() const;

  BpeOptions options_;
  ByteTokens bytes_;  // none without byte fallback
  std::shared_ptr<const Characters> characters_;
  std::shared_ptr<Joints> joints_ = std::make_shared<Joints>();
  bool merges_bytes_ = false;
  MergeTable merges_;
  /// Where ignore_merges is set.
  std::unordered_map<std::string_view, i32> whole_;
};

}  // namespace inlay
