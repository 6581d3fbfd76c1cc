// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/tokenizer.h"

#include <algorithm>
#include <limits>
#include <utility>

#include "core/error.h"
#include "data/text/utf8.h"
#include "data/tokenizer/parts.h"
#include "data/tokenizer/word_cache.h"

namespace inlay {

struct Tokenizer::Impl {
  TokenizerParts parts;
  mutable WordCachePool caches;

  /// Tells `emit(id, begin, end)` every token of `text`, in order. Unless `aligned`, begin and end
  /// mean nothing.
  template <class Emit>
  void encode(std::string_view text, const EncodeOptions& options, bool aligned,
              const Emit& emit) const;
  /// The same for text without raw added tokens, not yet normalised.
  template <class Emit>
  void encode_stretch(AlignedText& text, bool parse_special, WordCache& cache,
                      const Emit& emit) const;
  /// And for text without any.
  template <class Emit>
  void encode_plain(AlignedText& text, WordCache& cache, const Emit& emit) const;

  /// What the decoder is given for `id`; null for an id without a token.
  const std::string* decoded_piece(i32 id) const;
};

Tokenizer::Tokenizer(TokenizerParts parts) {
  auto impl = std::make_shared<Impl>();
  if (parts.eos_id) {
    // Callers that want one id take the first: the tokenizer's own eos.
    std::erase(parts.eos_ids, *parts.eos_id);
    parts.eos_ids.insert(parts.eos_ids.begin(), *parts.eos_id);
  }
  impl->parts = std::move(parts);
  impl_ = std::move(impl);
}

template <class Emit>
void Tokenizer::Impl::encode_plain(AlignedText& text, WordCache& cache, const Emit& emit) const {
  for (const ByteRange& piece : parts.pre_tokenizer.split(text)) {
    const std::string_view bytes = text.text().substr(piece.begin, piece.end - piece.begin);
    for (const PieceToken& token : cache.encode(*parts.model, bytes)) {
      const ByteRange source = text.source_of(piece.begin + token.begin, piece.begin + token.end);
      emit(token.id, source.begin, source.end);
    }
  }
}

template <class Emit>
void Tokenizer::Impl::encode_stretch(AlignedText& normalized, bool parse_special, WordCache& cache,
                                     const Emit& emit) const {
  parts.normalizer.apply(normalized);
  for (const Stretch& stretch :
       parts.added_tokens.split(normalized.text(), AddedTokens::Kind::kNormalized, parse_special)) {
    if (stretch.id >= 0) {
      const ByteRange source = normalized.source_of(stretch.range.begin, stretch.range.end);
      emit(stretch.id, source.begin, source.end);
    } else {
      AlignedText part(normalized, stretch.range);
      encode_plain(part, cache, emit);
    }
  }
}

template <class Emit>
void Tokenizer::Impl::encode(std::string_view text, const EncodeOptions& options, bool aligned,
                             const Emit& emit) const {
  // Places in a piece are i32 (PieceToken, Symbol).
  if (text.size() > static_cast<std::size_t>(std::numeric_limits<i32>::max())) {
    throw DataError(str("a text of ", text.size(), " bytes is too long to encode at once; at most ",
                        std::numeric_limits<i32>::max(), " are possible"));
  }
  // Once, here: all that follows walks over code points without looking.
  check_utf8(text, "text");
  WordCachePool::Loan cache(caches);
  const bool parse_special = options.parse_special && !parts.split_special_tokens;
  if (options.add_special_tokens) {
    for (const i32 id : parts.prefix) {
      emit(id, 0, 0);
    }
  }
  for (const Stretch& stretch :
       parts.added_tokens.split(text, AddedTokens::Kind::kRaw, parse_special)) {
    const auto [begin, end] = stretch.range;
    if (stretch.id >= 0) {
      emit(stretch.id, begin, end);
    } else {
      AlignedText part(text.substr(begin, end - begin), begin,
                       aligned || parts.pre_tokenizer.needs_source());
      encode_stretch(part, parse_special, *cache, emit);
    }
  }
  if (options.add_special_tokens) {
    const i64 size = text.size();
    for (const i32 id : parts.suffix) {
      emit(id, size, size);
    }
  }
}

std::vector<i32> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  std::vector<i32> ids;
  impl_->encode(text, options, false, [&](i32 id, i64, i64) { ids.push_back(id); });
  return ids;
}

std::vector<TokenSpan> Tokenizer::encode_with_offsets(std::string_view text,
                                                      const EncodeOptions& options) const {
  std::vector<TokenSpan> tokens;
  impl_->encode(text, options, true, [&](i32 id, i64 begin, i64 end) {
    tokens.push_back({id, begin, end});
  });
  return tokens;
}

const std::string* Tokenizer::Impl::decoded_piece(i32 id) const {
  const AddedToken* added = parts.added_tokens.find(id);
  return added != nullptr ? &added->content : parts.vocabulary.piece(id);
}

std::string Tokenizer::decode(std::span<const i32> ids, const DecodeOptions& options) const {
  TokenStream stream(*this, options);
  std::string text;
  for (const i32 id : ids) {
    text += stream.push(id);
  }
  return text + stream.finish();
}

std::optional<i32> Tokenizer::token_id(std::string_view piece) const {
  return impl_->parts.vocabulary.find(piece);
}

std::string_view Tokenizer::piece(i32 id) const {
  const std::string* piece = impl_->parts.vocabulary.piece(id);
  return piece == nullptr ? std::string_view() : *piece;
}

i64 Tokenizer::vocab_size() const {
  return impl_->parts.vocabulary.id_end();
}
bool Tokenizer::is_special(i32 id) const {
  return impl_->parts.added_tokens.is_special(id);
}
std::optional<i32> Tokenizer::bos_id() const {
  return impl_->parts.bos_id;
}
std::optional<i32> Tokenizer::eos_id() const {
  return impl_->parts.eos_id;
}
std::optional<i32> Tokenizer::pad_id() const {
  return impl_->parts.pad_id;
}
std::optional<i32> Tokenizer::unk_id() const {
  return impl_->parts.unk_id;
}
const std::vector<i32>& Tokenizer::eos_ids() const {
  return impl_->parts.eos_ids;
}
const std::map<std::string, std::string, std::less<>>& Tokenizer::template_tokens() const {
  return impl_->parts.template_tokens;
}

const std::vector<NamedTemplate>& Tokenizer::chat_templates() const {
  return impl_->parts.chat_templates;
}
const std::vector<std::string>& Tokenizer::notes() const {
  return impl_->parts.notes;
}

void require_in_vocabulary(const Tokenizer& tokenizer, std::span<const i32> ids, i64 vocab_size) {
  for (const i32 id : ids) {
    if (id >= vocab_size) {
      throw DataError(str("token ", id, " (\"", printable(tokenizer.piece(id)),
                          "\") is not in the model's vocabulary of ", vocab_size,
                          ", which ends before the tokenizer's"));
    }
  }
}

struct TokenStream::State {
  std::shared_ptr<const Tokenizer::Impl> tokenizer;
  DecodeOptions options;
  std::unique_ptr<DecoderState> decoder;
};

TokenStream::TokenStream(const Tokenizer& tokenizer, const DecodeOptions& options)
    : state_(new State{tokenizer.impl_, options, tokenizer.impl_->parts.decoder->start()}) {}

TokenStream::~TokenStream() = default;

std::string TokenStream::push(i32 id) {
  std::string text;
  const std::string* piece = state_->tokenizer->decoded_piece(id);
  const bool skipped =
      state_->options.skip_special_tokens && state_->tokenizer->parts.added_tokens.is_special(id);
  if (piece != nullptr && !skipped) {
    state_->decoder->push(*piece, text);
  }
  return text;
}

std::string TokenStream::finish() {
  std::string text;
  state_->decoder->finish(text);
  return text;
}

}  // namespace inlay
