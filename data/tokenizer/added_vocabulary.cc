// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/added_vocabulary.h"

#include <algorithm>
#include <utility>

namespace inlay {

std::optional<i32> AddedVocabulary::add(AddedToken token, Vocabulary& vocabulary) {
  if (token.content.empty()) {
    return std::nullopt;
  }
  std::optional<i32> id = vocabulary.find(token.content);
  if (!id) {
    vocabulary.add(token.content, next_id());
    id = vocabulary.find(token.content);
  }
  token.id = *id;
  largest_id_ = std::max(largest_id_, i64{*id});
  const auto [place, is_new] = by_content_.emplace(token.content, tokens_.size());
  if (is_new) {
    tokens_.push_back(std::move(token));
  } else {
    AddedToken& known = tokens_[static_cast<std::size_t>(place->second)];
    token.special = token.special || known.special;
    known = std::move(token);
  }
  return id;
}

const AddedToken* AddedVocabulary::find(std::string_view content) const {
  const auto found = by_content_.find(content);
  return found == by_content_.end() ? nullptr : &tokens_[static_cast<std::size_t>(found->second)];
}

// Not the vocabulary's largest id + 1: where its ids have gaps, the tokenizers package still counts
// the pieces.
i64 AddedVocabulary::next_id() const {
  return std::max(model_size_, largest_id_ + 1);
}

}  // namespace inlay
