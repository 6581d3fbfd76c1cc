// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/byte_tokens.h"
#include "data/tokenizer/joints.h"
#include "data/tokenizer/model.h"
#include "data/tokenizer/symbols.h"
#include "data/tokenizer/vocabulary.h"

namespace inlay {

/// Byte-pair encoding by scores instead of merges: SentencePiece's, and that of GGUF files of model
/// "llama".
///
/// A piece starts as its characters. Of all neighbours that together are a token, those with the
/// highest score, and among them the leftmost, become it, until there are none. A character that is
/// no token then becomes the tokens of its bytes, or unk.
class ScoredBpe final : public Model {
 public:
  /// `scores`: one a token id, each a number.
  /// `vocabulary`'s pieces must outlive this, its strings where they are: moving it is fine.
  ScoredBpe(const Vocabulary& vocabulary, std::span<const float> scores, std::optional<i32> unk_id);

  /// Whether two neighbours may come to be in one token. Safe to keep longer than this.
  std::function<bool(char32_t, char32_t)> joined() const;

  void encode(std::string_view piece, std::vector<PieceToken>& tokens) const override;

 private:
  std::optional<PairMerge> find(std::string_view text) const;

  std::optional<i32> unk_id_;
  ByteTokens bytes_;
  std::size_t longest_ = 0;  // token, bytes
  /// Rank by score, the highest 0, and equal for equal scores, so that place decides.
  std::unordered_map<std::string_view, PairMerge> tokens_;
  std::shared_ptr<Joints> joints_ = std::make_shared<Joints>();
};

}  // namespace inlay
