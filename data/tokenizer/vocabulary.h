// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/types.h"

namespace inlay {

/// Lets maps with string keys be asked by string_view.
struct StringHash {
  using is_transparent = void;
  std::size_t operator()(std::string_view text) const {
    return std::hash<std::string_view>{}(text);
  }
};

/// Pieces and their ids, one to one but for repeated ones.
class Vocabulary {
 public:
  Vocabulary() = default;
  // by_id_ points into ids_.
  Vocabulary(const Vocabulary&) = delete;
  Vocabulary& operator=(const Vocabulary&) = delete;
  Vocabulary(Vocabulary&&) = default;
  Vocabulary& operator=(Vocabulary&&) = default;

  /// Throws DataError when the id is negative or beyond any real vocabulary, or when the piece or
  /// the id is there already.
  void add(std::string_view piece, i64 id);
  /// The same for a piece that may be there already: both ids then have it, and it has the new one.
  void add_or_repeat(std::string_view piece, i64 id);

  /// Makes room for this many pieces in all.
  void reserve(i64 count) { ids_.reserve(count); }

  std::optional<i32> find(std::string_view piece) const;
  /// Null for an id without a piece.
  const std::string* piece(i32 id) const;
  /// How many pieces there are, each counted once.
  i64 size() const { return static_cast<i64>(ids_.size()); }
  /// The largest id + 1.
  i64 id_end() const { return static_cast<i64>(by_id_.size()); }

 private:
  std::unordered_map<std::string, i32, StringHash, std::equal_to<>> ids_;
  std::vector<const std::string*> by_id_;
};

}  // namespace inlay
