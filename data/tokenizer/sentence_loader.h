// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "data/tokenizer/parts.h"
#include "data/tokenizer/token_defaults.h"

/// Folders that have SentencePiece's model and no tokenizer.json.
namespace inlay {

/// `tokenizer.model` or `spiece.model` in the folder; nothing where there is neither.
std::optional<std::string> find_sentence_model(const std::string& directory);

struct SentenceTokenizer {
  TokenizerParts parts;
  TokenDefaults defaults;
};

/// The tokenizer that Transformers 5 makes of the file, which depends on the class that
/// tokenizer_config.json (`tokenizer_class`) and config.json (`model_type`, `tokenizer_class`) name:
///
///   LlamaTokenizer   a "▁" in front of the text (`legacy`: of each stretch between added tokens),
///                    unless `add_prefix_space` is false; merges in the order of ids
///   GemmaTokenizer   none in front; merges in the order of ids
///   T5Tokenizer      words at white space; `extra_ids` more tokens
///   any other        what the file says itself; merges in the order of scores
///
/// Throws DataError for a file that is wrong or of the other algorithm than its class, and for
/// other classes of Transformers that rewrite what they read.
SentenceTokenizer load_sentence_tokenizer(const std::string& directory, const std::string& file);

}  // namespace inlay
