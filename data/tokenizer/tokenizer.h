// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/types.h"

namespace inlay {

struct TokenizerParts;

struct EncodeOptions {
  /// Add what the model expects around a text (a bos token, say), as the tokenizer's files tell.
  bool add_special_tokens = true;
  /// Read the text of a special token, such as `<|im_end|>`, as that token. False keeps it plain
  /// text: right for text that users wrote. Added tokens that are not special are found anyway.
  bool parse_special = true;
};

struct DecodeOptions {
  bool skip_special_tokens = false;
};

/// A token and the bytes of the text it stands for, [begin, end). Where normalisation composed
/// characters, all tokens of a composed character stand for all of its bytes. Tokens put around the
/// text have begin == end.
struct TokenSpan {
  i32 id;
  i64 begin;
  i64 end;
  bool operator==(const TokenSpan&) const = default;
};

struct NamedTemplate {
  std::string name;  // "default" for the only one
  std::string text;  // Jinja
};

/// Text to token ids and back, the same ids as Hugging Face's tokenizers and llama.cpp give.
/// Loaded by the functions of load.h. Immutable: safe to use from many threads, cheap to copy.
class Tokenizer {
 public:
  explicit Tokenizer(TokenizerParts parts);

  /// Throws DataError `text: byte 0xff at offset 12 is not UTF-8`, and when a regular expression of
  /// the tokenizer takes too long on the text. Bytes that the vocabulary cannot spell become unk,
  /// or are dropped where the model has none, as by everyone else: SmolLM2 loses six control
  /// characters so.
  std::vector<i32> encode(std::string_view text, const EncodeOptions& options = {}) const;
  std::vector<TokenSpan> encode_with_offsets(std::string_view text,
                                             const EncodeOptions& options = {}) const;

  /// The text of `ids`, always UTF-8: bytes that are not become U+FFFD. An id without a token (a
  /// padding row of the embedding) has no text.
  std::string decode(std::span<const i32> ids, const DecodeOptions& options = {}) const;

  /// The id of a token by its piece, spelt as in the tokenizer's file.
  std::optional<i32> token_id(std::string_view piece) const;
  /// A token as the file spells it ("Ġworld"); "" for an id without a token.
  std::string_view piece(i32 id) const;
  /// The largest id + 1: the number of rows an embedding needs.
  i64 vocab_size() const;
  /// Whether `id` is a control token, such as bos or `<|im_end|>`.
  bool is_special(i32 id) const;

  std::optional<i32> bos_id() const;
  std::optional<i32> eos_id() const;
  std::optional<i32> pad_id() const;
  std::optional<i32> unk_id() const;
  /// All tokens that end a generation; eos_id() is the first.
  const std::vector<i32>& eos_ids() const;

  /// The model's chat templates, passed through unread.
  const std::vector<NamedTemplate>& chat_templates() const;
  /// The tokens that chat templates find as variables: "bos_token", "image_token" … to their text.
  const std::map<std::string, std::string, std::less<>>& template_tokens() const;
  /// Where the files contradict each other: what was found and which file was followed, a sentence
  /// each.
  const std::vector<std::string>& notes() const;

 private:
  friend class TokenStream;
  struct Impl;
  std::shared_ptr<const Impl> impl_;
};

/// Tokenizers may have more tokens than the model they come with has rows: a padding token that was
/// added, say. Throws DataError `token 272 ("[PAD]") is not in the model's vocabulary of 272, …`
/// for the first of `ids` without a row.
void require_in_vocabulary(const Tokenizer& tokenizer, std::span<const i32> ids, i64 vocab_size);

/// Decodes ids as they come: the texts returned, one after the other, are what decode() makes of
/// all ids. Holds back the bytes of a character until it is whole.
class TokenStream {
 public:
  explicit TokenStream(const Tokenizer& tokenizer, const DecodeOptions& options = {});
  TokenStream(const TokenStream&) = delete;
  TokenStream& operator=(const TokenStream&) = delete;
  ~TokenStream();

  /// The text that became complete with `id`; often "".
  std::string push(i32 id);
  /// What was held back. The stream is then as new.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace inlay
