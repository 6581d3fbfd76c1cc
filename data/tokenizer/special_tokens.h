// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "data/tokenizer/parts.h"

namespace inlay {

/// Reads what the files beside a tokenizer.json say of its tokens into `parts`, each file if it is
/// there:
///   tokenizer_config.json, special_tokens_map.json   bos, eos, pad and unk, by their text
///   generation_config.json, config.json              bos, eos (one or several) and pad, by id
///   chat_template.jinja, tokenizer_config.json, additional_chat_templates/NAME.jinja
/// For each token the first file that names it is followed; all ids of eos in
/// generation_config.json end a generation. Throws DataError for a bos or eos that is not a token.
/// Adds a note to `parts` for other tokens that are not, and where tokenizer_config.json wants
/// tokens or blanks added that tokenizer.json does not add, or the other way round: tokenizer.json
/// is followed.
void read_special_tokens(const std::string& directory, TokenizerParts& parts);

}  // namespace inlay
