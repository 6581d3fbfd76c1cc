// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/byte_tokens.h"
#include "data/tokenizer/model.h"
#include "data/tokenizer/vocabulary.h"

namespace inlay {

/// Strings and a value each; finds all that start a text.
class ScoredPieces {
 public:
  struct Piece {
    std::string_view text;
    i32 id;
  };
  explicit ScoredPieces(std::vector<Piece> pieces);

  /// Calls visit(length, id) for each piece that starts `text`, the shortest first.
  template <class Visit>
  void each_start(std::string_view text, const Visit& visit) const {
    i32 node = text.empty() ? -1 : roots_[static_cast<u8>(text[0])];
    for (std::size_t length = 1; node >= 0; ++length) {
      if (nodes_[node].id >= 0) {
        visit(static_cast<i32>(length), nodes_[node].id);
      }
      node = length < text.size() ? child(node, static_cast<u8>(text[length])) : -1;
    }
  }
  /// The piece that is `text`, or -1.
  i32 find(std::string_view text) const;

 private:
  struct Node {
    i32 id;  // -1: no piece ends here
    i32 first_edge;
    i32 edges;
  };
  struct Edge {
    u8 byte;
    i32 node;
  };
  i32 child(i32 node, u8 byte) const;

  std::array<i32, 256> roots_;
  std::vector<Node> nodes_;
  std::vector<Edge> edges_;  // of one node side by side, by byte
};

/// The unigram language model (Kudo 2018, arXiv:1804.10959): of all ways to split a piece into
/// tokens that with the highest sum of scores, by Viterbi's algorithm. A character without a token
/// costs 10 more than the worst token; runs of such become the tokens of their bytes, or one unk.
class Unigram final : public Model {
 public:
  /// `scores`: log-probabilities, one a token id from 0 on. `vocabulary`'s pieces must outlive this.
  Unigram(const Vocabulary& vocabulary, std::span<const double> scores, std::optional<i32> unk_id,
          bool byte_fallback);

  /// Throws DataError for a character without a token where there is no unk.
  void encode(std::string_view piece, std::vector<PieceToken>& tokens) const override;

 private:
  struct Arrival;
  std::vector<Arrival> best_arrivals(std::string_view piece) const;
  void append_unknown(std::string_view piece, i32 begin, i32 end,
                      std::vector<PieceToken>& tokens) const;

  std::vector<double> scores_;
  ScoredPieces pieces_;
  std::optional<i32> unk_id_;
  double unk_score_;
  ByteTokens bytes_;
};

}  // namespace inlay
