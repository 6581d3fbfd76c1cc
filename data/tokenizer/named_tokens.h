// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "data/tokenizer/parts.h"
#include "data/tokenizer/token_defaults.h"

namespace inlay {

/// Reads the tokens that the files beside a tokenizer.json name, as Transformers 5 does, adds to
/// `parts` those that tokenizer.json lacks, and finds bos, eos, pad and unk by their texts:
///
///   tokenizer_config.json     added_tokens_decoder   {"id": token}: its flags override those of
///                                                    tokenizer.json, its ids do not
///                             bos_token …            and further "…_token" of the model's own
///                             additional_special_tokens, extra_special_tokens   a list
///                             extra_special_tokens   or an object {"image_token": token, …}
///   special_tokens_map.json   the same but for added_tokens_decoder, and wins
///   added_tokens.json         {"content": id}; the flags of tokenizer.json override it
///
/// The last two are read only where tokenizer_config.json has no added_tokens_decoder. A token is a
/// text, or an object with "content" and flags. A null takes a token away.
///
/// A token that no vocabulary has gets the next free id, and a note in `parts` says so unless a
/// file gave that very id; so does one for an id in the files that is not followed. Throws
/// DataError for values of another kind.
///
/// `defaults`: names that the files may override or take away, and how the tokens are looked for.
void read_named_tokens(const std::string& directory, TokenizerParts& parts,
                       const TokenDefaults& defaults = {});

}  // namespace inlay
