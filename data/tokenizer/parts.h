// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "data/tokenizer/added_tokens.h"
#include "data/tokenizer/added_vocabulary.h"
#include "data/tokenizer/decoder.h"
#include "data/tokenizer/model.h"
#include "data/tokenizer/normalizer.h"
#include "data/tokenizer/pre_tokenizer.h"
#include "data/tokenizer/tokenizer.h"
#include "data/tokenizer/vocabulary.h"

namespace inlay {

/// What a loader puts together and a Tokenizer runs, in the order of encoding: added tokens cut out
/// of the raw text, normaliser, added tokens cut out of the normalised text, pre-tokenizer, model,
/// and the tokens around it all; then the decoder.
///
/// A further kind of tokenizer is a further Model, Decoder or step of the others, and a loader that
/// recognises it: the parts do not know of each other.
struct TokenizerParts {
  Vocabulary vocabulary;  // the model's pieces and the added tokens
  AddedVocabulary added;  // while a loader gathers them
  AddedTokens added_tokens;
  bool split_special_tokens = false;  // never look for the special ones
  bool is_byte_level = false;         // pieces are spelt in the letters of byte_level.h
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  std::unique_ptr<const Model> model;
  std::vector<i32> prefix;  // tokens put before a text, and behind it
  std::vector<i32> suffix;
  std::unique_ptr<const Decoder> decoder;

  std::optional<i32> bos_id;
  std::optional<i32> eos_id;
  std::optional<i32> pad_id;
  std::optional<i32> unk_id;
  std::vector<i32> eos_ids;
  std::vector<NamedTemplate> chat_templates;
  std::map<std::string, std::string, std::less<>> template_tokens;
  std::vector<std::string> notes;
};

}  // namespace inlay
