// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/bpe.h"

#include <algorithm>
#include <string>

#include "core/error.h"
#include "data/tokenizer/byte_level.h"

namespace inlay {
namespace {

constexpr i32 kNone = -1;

u64 pair_key(i32 left, i32 right) {
  return static_cast<u64>(static_cast<u32>(left)) << 32 | static_cast<u32>(right);
}

}  // namespace

/// A token in the making: a node in a list of neighbours, which live in one array in text order.
struct ByteLevelBpe::Symbol {
  i32 id;  // kNone: merged into its left neighbour
  i32 begin;
  i32 end;
  i32 previous;
  i32 next;
};

/// A merge that may apply at a symbol and its right neighbour. When its turn comes, either may have
/// changed; then it is dropped, since the change brought its own candidates.
struct ByteLevelBpe::Candidate {
  Merge merge;
  i32 at;

  /// The heap's order: its top is the greatest.
  bool operator<(const Candidate& other) const {
    return merge.rank != other.merge.rank ? merge.rank > other.merge.rank : at > other.at;
  }
};

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

void ByteLevelBpe::add_merge(const Vocabulary& vocabulary, std::string_view left,
                             std::string_view right) {
  const auto id_of = [&](std::string_view piece) {
    const auto id = vocabulary.find(piece);
    if (!id) {
      throw DataError(str("merges \"", printable(left), "\" and \"", printable(right), "\", but \"",
                          printable(piece), "\" is not in the vocabulary"));
    }
    return *id;
  };
  const u64 key = pair_key(id_of(left), id_of(right));
  const i32 together = id_of(std::string(left).append(right));
  // A pair that comes again has the later rank, as in the tokenizers package.
  merges_[key] = {next_rank_++, together};
}

std::optional<u8> ByteLevelBpe::missing_byte() const {
  const auto* const found = std::find(byte_ids_.begin(), byte_ids_.end(), kNone);
  return found == byte_ids_.end() ? std::nullopt
                                  : std::optional(static_cast<u8>(found - byte_ids_.begin()));
}

const ByteLevelBpe::Merge* ByteLevelBpe::merge_of(i32 left, i32 right) const {
  const auto found = merges_.find(pair_key(left, right));
  return found == merges_.end() ? nullptr : &found->second;
}

std::vector<ByteLevelBpe::Symbol> ByteLevelBpe::symbols_of(std::string_view piece) const {
  std::vector<Symbol> symbols;
  symbols.reserve(piece.size());
  bool in_unknown_run = false;
  for (i32 at = 0; at < static_cast<i32>(piece.size()); ++at) {
    const i32 id = byte_ids_[static_cast<u8>(piece[at])];
    const bool unknown = id == kNone;
    if (unknown && in_unknown_run && options_.fuse_unk) {
      symbols.back().end = at + 1;
      // A byte without a token, where there is no unk, has no symbol: it is dropped.
    } else if (!unknown || options_.unk_id) {
      const i32 index = static_cast<i32>(symbols.size());
      symbols.push_back({unknown ? *options_.unk_id : id, at, at + 1, index - 1, index + 1});
    }
    in_unknown_run = unknown && options_.unk_id.has_value();
  }
  if (!symbols.empty()) {
    symbols.back().next = kNone;
  }
  return symbols;
}

void ByteLevelBpe::merge_all(std::vector<Symbol>& symbols) const {
  std::vector<Candidate> heap;
  heap.reserve(symbols.size());
  const auto look_at = [&](i32 at) {
    if (at == kNone || symbols[at].next == kNone) {
      return false;
    }
    const Merge* merge = merge_of(symbols[at].id, symbols[symbols[at].next].id);
    if (merge != nullptr) {
      heap.push_back({*merge, at});
    }
    return merge != nullptr;
  };
  for (i32 at = 0; at < static_cast<i32>(symbols.size()); ++at) {
    look_at(at);
  }
  // All at once: O(n), where pushing each would be O(n log n).
  std::make_heap(heap.begin(), heap.end());
  while (!heap.empty()) {
    const Candidate top = heap.front();
    std::pop_heap(heap.begin(), heap.end());
    heap.pop_back();
    Symbol& left = symbols[top.at];
    // A stale candidate: its left symbol was merged away, or has nothing to its right any more.
    if (left.id == kNone || left.next == kNone) {
      continue;
    }
    Symbol& right = symbols[left.next];
    const Merge* current = merge_of(left.id, right.id);
    // Stale as well: one of the two is another token now. Comparing what they would become is
    // enough, since the candidate that counts for the new pair is in the heap too.
    if (current == nullptr || current->id != top.merge.id) {
      continue;
    }
    left.id = current->id;
    left.end = right.end;
    left.next = right.next;
    right.id = kNone;
    if (left.next != kNone) {
      symbols[left.next].previous = top.at;
    }
    // The new token has two new pairs, one to either side.
    if (look_at(left.previous)) {
      std::push_heap(heap.begin(), heap.end());
    }
    if (look_at(top.at)) {
      std::push_heap(heap.begin(), heap.end());
    }
  }
}

void ByteLevelBpe::encode(std::string_view piece, std::vector<PieceToken>& tokens) const {
  if (options_.ignore_merges) {
    if (const auto found = whole_.find(piece); found != whole_.end()) {
      tokens.push_back({found->second, 0, static_cast<i32>(piece.size())});
      return;
    }
  }
  std::vector<Symbol> symbols = symbols_of(piece);
  merge_all(symbols);
  for (const Symbol& symbol : symbols) {
    if (symbol.id != kNone) {
      tokens.push_back({symbol.id, symbol.begin, symbol.end});
    }
  }
}

}  // namespace inlay
