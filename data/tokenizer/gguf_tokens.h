// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/load.h"

namespace inlay {

/// How a token of a GGUF file is read in texts.
enum class GgufTokenKind : u8 {
  kNormal,       // as any other piece
  kControl,      // whole, where control tokens are looked for
  kUserDefined,  // whole, everywhere
};

/// What llama.cpp makes of the types and ids in a GGUF file. Files type tokens wrongly and leave
/// out which end a text, so the well-known texts decide, too.
struct GgufTokenRoles {
  std::vector<GgufTokenKind> kinds;  // one a token
  std::vector<i32> end_ids;          // the file's eot and eom and the well-known ends; not its eos
  std::vector<std::string> notes;    // what was read otherwise than typed, a sentence each
};

/// Control tokens are those of type control or unknown; those with a text that models of all makers
/// use for one, such as `<|im_end|>`, whatever their type; and those that the file itself names as
/// bos, eos, eot or eom, unless text can come to them by merges. Throws DataError
/// `<file>: tokenizer.ggml.token_type: …` when there are types for some tokens only.
GgufTokenRoles gguf_token_roles(const GgufTokenizerData& data, const std::string& file);

}  // namespace inlay
