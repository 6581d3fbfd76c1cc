// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/scored_bpe.h"

#include <algorithm>
#include <numeric>

#include "data/text/utf8.h"

namespace inlay {
namespace {

/// Of a character without a token, until its bytes take its place.
constexpr i32 kWithoutToken = -2;
static_assert(kWithoutToken != Symbol::kNone);

}  // namespace

ScoredBpe::ScoredBpe(const Vocabulary& vocabulary, std::span<const float> scores,
                     std::optional<i32> unk_id)
    : unk_id_(unk_id), bytes_(vocabulary) {
  std::vector<i32> order(scores.size());
  std::iota(order.begin(), order.end(), 0);
  std::ranges::stable_sort(order, [&](i32 a, i32 b) { return scores[a] > scores[b]; });
  i32 rank = 0;
  for (std::size_t i = 0; i < order.size(); ++i) {
    const i32 id = order[i];
    rank += i > 0 && scores[id] != scores[order[i - 1]] ? 1 : 0;
    const std::string* piece = vocabulary.piece(id);
    // Of tokens with one text the last is the one that texts come to.
    if (piece != nullptr && !piece->empty() && vocabulary.find(*piece) == id) {
      tokens_.emplace(*piece, PairMerge{rank, id});
      longest_ = std::max(longest_, piece->size());
      joints_->add(*piece);
    }
  }
}

std::function<bool(char32_t, char32_t)> ScoredBpe::joined() const {
  return [joints = std::shared_ptr<const Joints>(joints_)](char32_t left, char32_t right) {
    return joints->may_join(left, right);
  };
}

std::optional<PairMerge> ScoredBpe::find(std::string_view text) const {
  if (text.size() > longest_) {
    return std::nullopt;
  }
  const auto found = tokens_.find(text);
  return found == tokens_.end() ? std::nullopt : std::optional(found->second);
}

void ScoredBpe::encode(std::string_view piece, std::vector<PieceToken>& tokens) const {
  SymbolList list(piece.size());
  for (i32 at = 0; at < static_cast<i32>(piece.size());) {
    const i32 end = at + static_cast<i32>(code_point_at(piece, at).length);
    const auto token = find(piece.substr(at, end - at));
    list.add(token ? token->id : kWithoutToken, at, end);
    at = end;
  }
  std::vector<Symbol> symbols = list.take();
  merge_symbols(symbols, [&](const Symbol& left, const Symbol& right) {
    return find(piece.substr(left.begin, right.end - left.begin));
  });
  for (const Symbol& symbol : symbols) {
    if (symbol.id >= 0) {
      tokens.push_back({symbol.id, symbol.begin, symbol.end});
    } else if (symbol.id == kWithoutToken) {
      const std::string_view text = piece.substr(symbol.begin, symbol.end - symbol.begin);
      if (bytes_.can_spell(text)) {
        for (i32 at = symbol.begin; at < symbol.end; ++at) {
          tokens.push_back({bytes_.id(piece[at]), at, at + 1});
        }
      } else if (unk_id_) {
        tokens.push_back({*unk_id_, symbol.begin, symbol.end});
      }
    }
  }
}

}  // namespace inlay
