// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/model.h"
#include "data/tokenizer/vocabulary.h"

namespace inlay {

/// The byte that a piece such as "<0x0A>" stands for, if it is spelt so.
std::optional<u8> byte_of_piece(std::string_view piece);

/// The tokens "<0x00>" to "<0xFF>" that spell what a vocabulary has no piece for.
class ByteTokens {
 public:
  /// None.
  ByteTokens() { ids_.fill(-1); }
  explicit ByteTokens(const Vocabulary& vocabulary);

  /// -1: there is none.
  i32 id(char byte) const { return ids_[static_cast<u8>(byte)]; }
  /// Whether each byte of `text` has one.
  bool can_spell(std::string_view text) const;
  bool complete() const;

 private:
  std::array<i32, 256> ids_;
};

}  // namespace inlay
