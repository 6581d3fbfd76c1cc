// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/bpe.h"

#include <algorithm>

#include "data/tokenizer/byte_level.h"

namespace inlay {
namespace {

constexpr i32 kNone = -1;

}  // namespace

ByteLevelBpe::ByteLevelBpe(const Vocabulary& vocabulary, const BpeOptions& options)
    : options_(options) {
  for (int byte = 0; byte < 256; ++byte) {
    byte_ids_[byte] = vocabulary.find(byte_letter(static_cast<u8>(byte))).value_or(kNone);
  }
  for (i32 id = 0; options.ignore_merges && id < vocabulary.id_end(); ++id) {
    const std::string* piece = vocabulary.piece(id);
    if (const auto bytes = piece != nullptr ? from_byte_letters(*piece) : std::nullopt) {
      // The first of two ids with the same bytes stays.
      whole_.emplace(*bytes, id);
    }
  }
}

std::optional<u8> ByteLevelBpe::missing_byte() const {
  const auto* const found = std::find(byte_ids_.begin(), byte_ids_.end(), kNone);
  return found == byte_ids_.end() ? std::nullopt
                                  : std::optional(static_cast<u8>(found - byte_ids_.begin()));
}

std::vector<Symbol> ByteLevelBpe::symbols_of(std::string_view piece) const {
  SymbolList symbols(piece.size());
  i32 unknown_from = kNone;  // where a run of bytes without a token starts
  const auto end_unknown = [&](i32 end) {
    if (unknown_from != kNone) {
      symbols.add(*options_.unk_id, unknown_from, end);
      unknown_from = kNone;
    }
  };
  const i32 size = static_cast<i32>(piece.size());
  for (i32 at = 0; at < size; ++at) {
    const i32 id = byte_ids_[static_cast<u8>(piece[at])];
    if (id != kNone || !options_.fuse_unk) {
      end_unknown(at);
    }
    if (id != kNone) {
      symbols.add(id, at, at + 1);
      // A byte without a token, where there is no unk, has no symbol: it is dropped.
    } else if (options_.unk_id && unknown_from == kNone) {
      unknown_from = at;
    }
  }
  end_unknown(size);
  return symbols.take();
}

void ByteLevelBpe::encode(std::string_view piece, std::vector<PieceToken>& tokens) const {
  if (options_.ignore_merges) {
    if (const auto found = whole_.find(piece); found != whole_.end()) {
      tokens.push_back({found->second, 0, static_cast<i32>(piece.size())});
      return;
    }
  }
  std::vector<Symbol> symbols = symbols_of(piece);
  merge_symbols(symbols, [&](const Symbol& left, const Symbol& right) {
    return merges_.find(left.id, right.id);
  });
  append_tokens(symbols, tokens);
}

}  // namespace inlay
