// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <algorithm>
#include <optional>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/model.h"

namespace inlay {

/// A token in the making: a node in a list of neighbours, which live in one array in text order.
struct Symbol {
  static constexpr i32 kNone = -1;

  i32 id;  // kNone: merged into its left neighbour
  i32 begin;
  i32 end;
  i32 previous;
  i32 next;
};

/// What two neighbours may become.
struct PairMerge {
  i32 rank;  // the lowest comes first
  i32 id;    // of the two together
};

/// Symbols in text order, while they are found.
class SymbolList {
 public:
  explicit SymbolList(std::size_t size) { symbols_.reserve(size); }
  void add(i32 id, i32 begin, i32 end) {
    const i32 index = static_cast<i32>(symbols_.size());
    symbols_.push_back({id, begin, end, index - 1, index + 1});
  }
  /// Links them up.
  std::vector<Symbol> take() {
    if (!symbols_.empty()) {
      symbols_.back().next = Symbol::kNone;
    }
    return std::move(symbols_);
  }

 private:
  std::vector<Symbol> symbols_;
};

/// Of all neighbours that `find(left symbol, right symbol)` has a PairMerge for (std::optional), those
/// of the lowest rank, and among them the leftmost, become one, until there are none. Candidates
/// wait in a heap ordered by (rank, place), so n symbols take O(n log n): a word of 200 000 letters
/// is no hazard.
template <class Find>
void merge_symbols(std::vector<Symbol>& symbols, const Find& find) {
  /// When its turn comes, either symbol may have changed; then it is dropped, since the change
  /// brought its own candidates.
  struct Candidate {
    PairMerge merge;
    i32 at;
    /// The heap's order: its top is the greatest.
    bool operator<(const Candidate& other) const {
      return merge.rank != other.merge.rank ? merge.rank > other.merge.rank : at > other.at;
    }
  };
  std::vector<Candidate> heap;
  heap.reserve(symbols.size());
  const auto look_at = [&](i32 at) {
    if (at == Symbol::kNone || symbols[at].next == Symbol::kNone) {
      return false;
    }
    const std::optional<PairMerge> merge = find(symbols[at], symbols[symbols[at].next]);
    if (merge) {
      heap.push_back({*merge, at});
    }
    return merge.has_value();
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
    if (left.id == Symbol::kNone || left.next == Symbol::kNone) {
      continue;
    }
    Symbol& right = symbols[left.next];
    const std::optional<PairMerge> current = find(left, right);
    // Stale as well: one of the two is another token now. Comparing what they would become is
    // enough, since the candidate that counts for the new pair is in the heap too.
    if (!current || current->id != top.merge.id) {
      continue;
    }
    left.id = current->id;
    left.end = right.end;
    left.next = right.next;
    right.id = Symbol::kNone;
    if (left.next != Symbol::kNone) {
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

/// The tokens that symbols have become.
inline void append_tokens(const std::vector<Symbol>& symbols, std::vector<PieceToken>& tokens) {
  for (const Symbol& symbol : symbols) {
    if (symbol.id != Symbol::kNone) {
      tokens.push_back({symbol.id, symbol.begin, symbol.end});
    }
  }
}

}  // namespace inlay
