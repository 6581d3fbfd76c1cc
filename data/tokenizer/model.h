// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>
#include <vector>

#include "core/types.h"

namespace inlay {

/// A token and the bytes of a piece that it stands for, [begin, end).
struct PieceToken {
  i32 id;
  i32 begin;
  i32 end;
};

/// The last step of encoding: one piece of pre-tokenised text to tokens. Immutable; safe to use
/// from many threads.
class Model {
 public:
  virtual ~Model() = default;
  /// Appends the tokens of `piece`, which is not empty and has less than 2^31 bytes.
  virtual void encode(std::string_view piece, std::vector<PieceToken>& tokens) const = 0;
};

}  // namespace inlay
