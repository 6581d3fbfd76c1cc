// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "data/tokenizer/json_view.h"
#include "data/tokenizer/parts.h"

/// tokenizer.json to parts. What the file asks for is done exactly or refused by name. For the
/// loaders alone: it brings the JSON library along.
namespace inlay {

/// Everything that tokenizer.json tells.
TokenizerParts parts_from_json(const JsonView& root);

/// Its stages, each from its key of the root. Tokens that the post-processor names must be in the
/// vocabulary of `parts`.
Normalizer normalizer_from_json(const JsonView& root);
void pre_tokenizer_from_json(const JsonView& root, TokenizerParts& parts);
void model_from_json(const JsonView& root, TokenizerParts& parts);
void post_processor_from_json(const JsonView& root, TokenizerParts& parts);
std::unique_ptr<const Decoder> decoder_from_json(const JsonView& root, bool is_byte_level);

/// {"String": "text"} or {"Regex": "expression"}.
Regex pattern_from_json(const JsonView& json);

/// What "Metaspace" says, as a pre-tokenizer or a decoder.
struct MetaspaceJson {
  std::string replacement;
  PrependScheme scheme;
  bool split;
};
MetaspaceJson metaspace_from_json(const JsonView& json);

/// Refuses the "type" of `json`.
[[noreturn]] void refuse_type(const JsonView& json, std::string_view supported);

}  // namespace inlay
