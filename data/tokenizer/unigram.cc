// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/unigram.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "data/text/utf8.h"

namespace inlay {
namespace {

/// SentencePiece's: an unknown character costs this much more than the worst token.
constexpr double kUnkPenalty = 10.0;

std::vector<ScoredPieces::Piece> pieces_of(const Vocabulary& vocabulary, i64 count) {
  std::vector<ScoredPieces::Piece> pieces;
  for (i32 id = 0; id < count; ++id) {
    const std::string* piece = vocabulary.piece(id);
    if (piece != nullptr && !piece->empty() && vocabulary.find(*piece) == id) {
      pieces.push_back({*piece, id});
    }
  }
  return pieces;
}

}  // namespace

ScoredPieces::ScoredPieces(std::vector<Piece> pieces) {
  std::ranges::sort(pieces, {}, &Piece::text);
  roots_.fill(-1);
  // Pieces [begin, end) share their first `depth` bytes, which lead to `node`. Node by node, so
  // that the edges of one come side by side.
  struct Group {
    std::size_t begin;
    std::size_t end;
    std::size_t depth;
    i32 node;  // -1: the root
  };
  std::vector<Group> groups = {{0, pieces.size(), 0, -1}};
  while (!groups.empty()) {
    Group group = groups.back();
    groups.pop_back();
    // In order, a piece comes before those that it starts.
    if (group.node >= 0 && pieces[group.begin].text.size() == group.depth) {
      nodes_[group.node].id = pieces[group.begin++].id;
    }
    if (group.node >= 0) {
      nodes_[group.node].first_edge = static_cast<i32>(edges_.size());
    }
    while (group.begin < group.end) {
      const u8 byte = static_cast<u8>(pieces[group.begin].text[group.depth]);
      std::size_t end = group.begin + 1;
      while (end < group.end && static_cast<u8>(pieces[end].text[group.depth]) == byte) {
        ++end;
      }
      const i32 node = static_cast<i32>(nodes_.size());
      nodes_.push_back({-1, 0, 0});
      if (group.node < 0) {
        roots_[byte] = node;
      } else {
        edges_.push_back({byte, node});
        ++nodes_[group.node].edges;
      }
      groups.push_back({group.begin, end, group.depth + 1, node});
      group.begin = end;
    }
  }
}

i32 ScoredPieces::child(i32 node, u8 byte) const {
  const auto begin = edges_.begin() + nodes_[node].first_edge;
  const auto end = begin + nodes_[node].edges;
  const auto found =
      std::lower_bound(begin, end, byte, [](const Edge& edge, u8 b) { return edge.byte < b; });
  return found != end && found->byte == byte ? found->node : -1;
}

i32 ScoredPieces::find(std::string_view text) const {
  i32 found = -1;
  each_start(
      text, [&](i32 length, i32 id) { found = length == static_cast<i32>(text.size()) ? id : -1; });
  return found;
}

Unigram::Unigram(const Vocabulary& vocabulary, std::span<const double> scores,
                 std::optional<i32> unk_id, bool byte_fallback)
    : scores_(scores.begin(), scores.end()),
      pieces_(pieces_of(vocabulary, static_cast<i64>(scores.size()))),
      unk_id_(unk_id),
      unk_score_((scores_.empty() ? 0.0 : std::ranges::min(scores_)) - kUnkPenalty),
      bytes_(byte_fallback ? ByteTokens(vocabulary) : ByteTokens()) {}

/// The best way to a place between two characters: its last token.
struct Unigram::Arrival {
  double score = 0.0;
  i32 from = -1;  // -1: none yet
  i32 id = -1;    // -1: a character without a token
};

std::vector<Unigram::Arrival> Unigram::best_arrivals(std::string_view piece) const {
  std::vector<Arrival> best(piece.size() + 1);
  const i32 size = static_cast<i32>(piece.size());
  for (i32 at = 0; at < size;) {
    const double score = best[at].score;
    const i32 character = static_cast<i32>(code_point_at(piece, at).length);
    // Of equal ways the first stays, as in the tokenizers package.
    const auto arrive = [&](i32 length, i32 id, double step) {
      Arrival& there = best[at + length];
      if (const double sum = step + score; there.from < 0 || sum > there.score) {
        there = {sum, at, id};
      }
    };
    bool has_character = false;
    pieces_.each_start(piece.substr(at), [&](i32 length, i32 id) {
      arrive(length, id, scores_[id]);
      has_character = has_character || length == character;
    });
    if (!has_character) {
      arrive(character, unk_id_.value_or(-1), unk_score_);
    }
    at += character;
  }
  return best;
}

void Unigram::append_unknown(std::string_view piece, i32 begin, i32 end,
                             std::vector<PieceToken>& tokens) const {
  const std::string_view text = piece.substr(begin, end - begin);
  if (const i32 id = pieces_.find(text); id >= 0) {
    tokens.push_back({id, begin, end});
  } else if (bytes_.can_spell(text)) {
    for (i32 at = begin; at < end; ++at) {
      tokens.push_back({bytes_.id(piece[at]), at, at + 1});
    }
  } else if (unk_id_) {
    tokens.push_back({*unk_id_, begin, end});
  } else {
    throw DataError(str("\"", printable(text), "\" has no token, and the vocabulary has no unk"));
  }
}

void Unigram::encode(std::string_view piece, std::vector<PieceToken>& tokens) const {
  const std::vector<Arrival> best = best_arrivals(piece);
  std::vector<PieceToken> path;
  for (i32 end = static_cast<i32>(piece.size()); end > 0; end = best[end].from) {
    path.push_back({best[end].id, best[end].from, end});
  }
  std::ranges::reverse(path);
  const i32 unk = unk_id_.value_or(-1);
  for (std::size_t i = 0; i < path.size(); ++i) {
    if (path[i].id != unk) {
      tokens.push_back(path[i]);
      continue;
    }
    const i32 begin = path[i].begin;
    while (i + 1 < path.size() && path[i + 1].id == unk) {
      ++i;
    }
    append_unknown(piece, begin, path[i].end, tokens);
  }
}

}  // namespace inlay
