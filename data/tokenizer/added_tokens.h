// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/normalizer.h"

namespace inlay {

/// A token that is looked for in the text itself, before it is split.
struct AddedToken {
  std::string content;
  i32 id = 0;
  bool single_word = false;  // not where a word character touches it
  bool lstrip = false;       // takes the white space on its left along
  bool rstrip = false;       // and on its right
  bool normalized = false;   // looked for, itself normalised, in normalised text
  bool special = false;
};

/// A stretch of text: an added token, or what is between two.
struct Stretch {
  ByteRange range;
  i32 id;  // -1: text
};

class PrefixTree;

class AddedTokens {
 public:
  AddedTokens();
  AddedTokens(std::vector<AddedToken> tokens, const Normalizer& normalizer);

  enum class Kind { kRaw, kNormalized };
  /// Cuts `text` at the tokens of a kind: leftmost first, and the longest of those that start at
  /// one place. Special ones are passed over, text and all, unless `parse_special`.
  std::vector<Stretch> split(std::string_view text, Kind kind, bool parse_special) const;

  /// The token with this id, its content as it is looked for; or null.
  const AddedToken* find(i32 id) const;
  bool is_special(i32 id) const;

 private:
  std::vector<AddedToken> tokens_;
  std::unordered_map<i32, i64> by_id_;  // index in tokens_
  std::shared_ptr<const PrefixTree> raw_;
  std::shared_ptr<const PrefixTree> normalized_;
};

}  // namespace inlay
