// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/character_bpe.h"

#include <utility>

#include "data/text/utf8.h"

namespace inlay {

i32 CharacterBpe::Characters::find(char32_t c) const {
  if (c < ascii.size()) {
    return ascii[c];
  }
  const auto found = others.find(c);
  return found == others.end() ? Symbol::kNone : found->second;
}

CharacterBpe::CharacterBpe(const Vocabulary& vocabulary, const BpeOptions& options,
                           bool byte_fallback)
    : options_(options), bytes_(byte_fallback ? ByteTokens(vocabulary) : ByteTokens()) {
  auto characters = std::make_shared<Characters>();
  characters->ascii.fill(Symbol::kNone);
  for (i32 id = 0; id < vocabulary.id_end(); ++id) {
    const std::string* piece = vocabulary.piece(id);
    if (piece == nullptr || piece->empty()) {
      continue;
    }
    if (const CodePoint point = code_point_at(*piece, 0);
        point.length == static_cast<i64>(piece->size())) {
      if (point.value < characters->ascii.size()) {
        characters->ascii[point.value] = id;
      } else {
        characters->others.emplace(point.value, id);
      }
    }
    if (options.ignore_merges) {
      whole_.emplace(*piece, id);
      joints_->add(*piece);
    }
  }
  characters_ = std::move(characters);
}

void CharacterBpe::add_merge(const Vocabulary& vocabulary, std::string_view left,
                             std::string_view right) {
  joints_->add(*vocabulary.piece(merges_.add(vocabulary, left, right)));
  merges_bytes_ = merges_bytes_ || byte_of_piece(left) || byte_of_piece(right);
}

std::function<bool(char32_t, char32_t)> CharacterBpe::joined() const {
  // Merges of byte tokens reach over characters that no token holds.
  if (merges_bytes_) {
    return nullptr;
  }
  // A run of unknown characters becomes one unk: it must stay in one piece.
  const bool fuses = options_.fuse_unk && options_.unk_id && needs_unk();
  return [joints = std::shared_ptr<const Joints>(joints_), characters = characters_, fuses,
          ends = ends_of_unmerged()](char32_t left, char32_t right) {
    return joints->may_join(left, right) ||
           (fuses && characters->find(left) < 0 && characters->find(right) < 0) ||
           (!ends.empty() && (ends.contains(left) || ends.contains(right)));
  };
}

/// Where merges are ignored, a token that merges would not make of its text stands for a whole piece
/// alone. Cuts on both of its sides would make a piece of it, so there must be none: its first and
/// last characters.
std::unordered_set<char32_t> CharacterBpe::ends_of_unmerged() const {
  std::unordered_set<char32_t> ends;
  std::vector<PieceToken> tokens;
  for (const auto& [text, id] : whole_) {
    tokens.clear();
    merge(text, tokens);
    if (tokens.size() != 1 || tokens[0].id != id) {
      ends.insert(code_point_at(text, 0).value);
      ends.insert(
          code_point_at(text, previous_code_point(text, static_cast<i64>(text.size()))).value);
    }
  }
  return ends;
}

std::vector<Symbol> CharacterBpe::symbols_of(std::string_view piece) const {
  SymbolList symbols(piece.size());
  // An unk in the making. It is put down when a character with a token comes, not when one comes
  // that its bytes spell: so the tokenizers package does it, and only vocabularies with some of
  // the byte tokens could tell.
  i32 unknown_begin = Symbol::kNone;
  i32 unknown_end = 0;
  const auto put_unknown = [&] {
    if (unknown_begin != Symbol::kNone) {
      symbols.add(*options_.unk_id, unknown_begin, unknown_end);
      unknown_begin = Symbol::kNone;
    }
  };
  for (i32 at = 0; at < static_cast<i32>(piece.size());) {
    const CodePoint point = code_point_at(piece, at);
    const i32 end = at + static_cast<i32>(point.length);
    if (const i32 id = characters_->find(point.value); id != Symbol::kNone) {
      put_unknown();
      symbols.add(id, at, end);
    } else if (bytes_.can_spell(piece.substr(at, point.length))) {
      for (i32 byte = at; byte < end; ++byte) {
        symbols.add(bytes_.id(piece[byte]), byte, byte + 1);
      }
    } else if (options_.unk_id) {
      if (!options_.fuse_unk) {
        put_unknown();
      }
      unknown_begin = unknown_begin == Symbol::kNone ? at : unknown_begin;
      unknown_end = end;
    }
    at = end;
  }
  put_unknown();
  return symbols.take();
}

void CharacterBpe::encode(std::string_view piece, std::vector<PieceToken>& tokens) const {
  if (options_.ignore_merges) {
    if (const auto found = whole_.find(piece); found != whole_.end()) {
      tokens.push_back({found->second, 0, static_cast<i32>(piece.size())});
      return;
    }
  }
  merge(piece, tokens);
}

void CharacterBpe::merge(std::string_view piece, std::vector<PieceToken>& tokens) const {
  std::vector<Symbol> symbols = symbols_of(piece);
  merge_symbols(symbols, [&](const Symbol& left, const Symbol& right) {
    return merges_.find(left.id, right.id);
  });
  append_tokens(symbols, tokens);
}

}  // namespace inlay
