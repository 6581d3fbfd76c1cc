// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"
#include "data/tokenizer/tokenizer.h"

/// Where tokenizers come from. Everything here throws DataError for a file that is wrong, or that
/// needs a part that is not supported: the sentence names the part and what is.
namespace inlay {

class GgufFile;

/// From a directory with a tokenizer.json, or else a tokenizer.model (sentence_loader.h), from such a
/// file itself, from a .gguf file, or "bytes". The files beside it that concern it are read too
/// (special_tokens.h).
Tokenizer load_tokenizer(const std::string& path);

/// Whether load_tokenizer() finds a tokenizer in this directory.
bool has_tokenizer(const std::string& directory);

/// 256 tokens, one a byte, with the byte's value as id; none is special.
Tokenizer byte_tokenizer();

/// From the text of a tokenizer.json alone: no bos, eos or pad, and no chat template. `file` is its
/// name in messages. Supported: BPE and Unigram. `truncation` and `padding` are not followed.
Tokenizer tokenizer_from_json(std::string_view text, const std::string& file);

/// The tokenizer of a GGUF file, as its metadata `tokenizer.ggml.…` has it.
struct GgufTokenizerData {
  std::string model;  // "gpt2", "llama" or "gemma4"
  std::string pre;    // name of the pre-tokenizer; "" where the file has none
  std::vector<std::string> tokens;
  std::vector<std::string> merges;  // "left right"
  std::vector<float> scores;        // one a token, for model "llama"
  std::vector<i64> token_types;     // empty, or one a token at least
  std::optional<i64> bos_id;
  std::optional<i64> eos_id;
  std::optional<i64> unk_id;
  std::optional<i64> pad_id;
  std::optional<i64> eot_id;  // ends of a turn, of a message, and of code that was filled in
  std::optional<i64> eom_id;
  std::optional<i64> fim_pad_id;
  std::optional<i64> fim_rep_id;
  std::optional<i64> fim_sep_id;
  std::optional<bool> add_bos;  // absent: as usual for the pre-tokenizer
  std::optional<bool> add_eos;
  std::optional<bool> add_space_prefix;  // absent: for model "llama" alone
  bool control_tokens_strip = false;     // they take the white space on their right along
  std::vector<NamedTemplate> chat_templates;
};

/// Whether the file has a tokenizer at all: `tokenizer.ggml.model` is there and is not "none".
bool has_tokenizer(const GgufFile& file);

GgufTokenizerData read_gguf_tokenizer(const GgufFile& file);

/// Supported: model "gpt2" with the pre-tokenizers of gguf_pre_tokenizers.h; "llama", which is
/// SentencePiece's BPE by scores; "gemma4", which is its BPE by merges. Which tokens are control
/// tokens, and which end a text, see gguf_tokens.h. Ids that are no token's are passed over with a
/// note. Of a text that several tokens have, the last is the one it is encoded to.
Tokenizer tokenizer_from_gguf(const GgufTokenizerData& data, const std::string& file);

}  // namespace inlay
