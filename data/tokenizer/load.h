// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <string_view>

#include "data/tokenizer/tokenizer.h"

/// Where tokenizers come from. Everything here throws DataError for a file that is wrong, or that
/// needs a part that is not supported: the sentence names the part and what is.
namespace inlay {

/// From a directory with a tokenizer.json, from such a file itself, or "bytes". The files beside
/// tokenizer.json that concern it are read too (special_tokens.h).
Tokenizer load_tokenizer(const std::string& path);

/// 256 tokens, one a byte, with the byte's value as id; none is special.
Tokenizer byte_tokenizer();

/// From the text of a tokenizer.json alone: no bos, eos or pad, and no chat template. `file` is its
/// name in messages. Supported: byte-level BPE. `truncation` and `padding` are not followed.
Tokenizer tokenizer_from_json(std::string_view text, const std::string& file);

}  // namespace inlay
