// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>
#include <unordered_map>

#include "core/types.h"
#include "data/tokenizer/symbols.h"
#include "data/tokenizer/vocabulary.h"

namespace inlay {

/// The merges of byte-pair encoding, in order.
class MergeTable {
 public:
  /// The next merge in rank; returns what the two become. A pair that comes twice has the later
  /// rank. Throws DataError unless `left`, `right` and the two together are pieces.
  i32 add(const Vocabulary& vocabulary, std::string_view left, std::string_view right);
  /// Makes room for this many merges in all.
  void reserve(i64 count) { merges_.reserve(count); }

  std::optional<PairMerge> find(i32 left, i32 right) const {
    const auto found = merges_.find(key(left, right));
    return found == merges_.end() ? std::nullopt : std::optional(found->second);
  }

 private:
  static u64 key(i32 left, i32 right) {
    return static_cast<u64>(static_cast<u32>(left)) << 32 | static_cast<u32>(right);
  }

  i32 next_rank_ = 0;
  std::unordered_map<u64, PairMerge> merges_;
};

}  // namespace inlay
