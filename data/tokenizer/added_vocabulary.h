// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/vocabulary.h"

namespace inlay {

/// The added tokens of a tokenizer while they are gathered from its files, numbered and overridden
/// as the tokenizers package does it.
class AddedVocabulary {
 public:
  /// `model_size`: how many pieces the model's vocabulary has.
  explicit AddedVocabulary(i64 model_size = 0) : model_size_(model_size) {}

  /// Adds `token` and returns its id. That is the vocabulary's for a piece it has, and else the
  /// next free one behind the model's pieces and the tokens added before, whatever `token.id` is;
  /// the vocabulary then has the piece too. A token of the same content gets the flags of `token`,
  /// but once special it stays so. An empty content is passed over: nothing is returned.
  std::optional<i32> add(AddedToken token, Vocabulary& vocabulary);

  /// Null when it was not added.
  const AddedToken* find(std::string_view content) const;
  /// In the order of adding, each content once.
  const std::vector<AddedToken>& tokens() const { return tokens_; }

 private:
  i64 next_id() const;

  i64 model_size_;
  i64 largest_id_ = -1;
  std::vector<AddedToken> tokens_;
  std::unordered_map<std::string, i64, StringHash, std::equal_to<>>
      by_content_;  // index in tokens_
};

}  // namespace inlay
