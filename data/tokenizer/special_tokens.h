// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "data/tokenizer/parts.h"
#include "data/tokenizer/token_defaults.h"

namespace inlay {

/// Reads what the files beside a tokenizer.json say of its tokens into `parts`, each file if it is
/// there:
///   tokenizer_config.json, special_tokens_map.json, added_tokens.json   see named_tokens.h
///   generation_config.json, config.json              bos, eos (one or several) and pad, by id
/// For bos, eos, pad and unk the first file that names a token is followed. A generation ends at
/// eos and at all ids of eos in generation_config.json, or where that has none, in config.json.
/// Adds a note to `parts` for ids without a token, and where tokenizer_config.json wants tokens or
/// blanks added that tokenizer.json does not add, or the other way round: tokenizer.json is
/// followed. But `split_special_tokens` is, with a note.
///
/// `defaults`: for a vocabulary that comes without tokenizer.json.
void read_special_tokens(const std::string& directory, TokenizerParts& parts,
                         const TokenDefaults& defaults = {});

}  // namespace inlay
