// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/decoder.h"

#include <algorithm>

#include "core/types.h"
#include "data/text/utf8.h"
#include "data/tokenizer/byte_level.h"
#include "data/tokenizer/byte_tokens.h"

namespace inlay {
namespace {

/// Bytes on their way to text: held back while they are a part of a character.
class HeldBytes {
 public:
  void add(std::string_view bytes, std::string& text) {
    held_ += bytes;
    const std::string_view held = held_;
    const i64 settled = held.size() - unfinished_utf8_tail(held);
    append_as_utf8(text, held.substr(0, settled));
    held_.erase(0, settled);
  }
  void finish(std::string& text) {
    append_as_utf8(text, held_);
    held_.clear();
  }

 private:
  std::string held_;  // at most the first bytes of one character
};

class ByteLevelState final : public DecoderState {
 public:
  void push(std::string_view piece, std::string& text) override {
    const auto bytes = from_byte_letters(piece);
    bytes_.add(bytes ? std::string_view(*bytes) : piece, text);
  }
  void finish(std::string& text) override { bytes_.finish(text); }

 private:
  HeldBytes bytes_;
};

class SentencePieceState final : public DecoderState {
 public:
  explicit SentencePieceState(bool drops_prefix)
      : drops_prefix_(drops_prefix), at_prefix_(drops_prefix) {}

  void push(std::string_view piece, std::string& text) override {
    std::string bytes;
    if (const auto byte = byte_of_piece(piece)) {
      bytes += static_cast<char>(*byte);
    } else {
      for (std::size_t at = 0; at < piece.size();) {
        const std::size_t blank = std::min(piece.find(kBlank, at), piece.size());
        bytes += piece.substr(at, blank - at);
        if (blank < piece.size()) {
          bytes += ' ';
        }
        at = blank + kBlank.size();
      }
    }
    const bool prefixed = at_prefix_ && bytes.starts_with(' ');
    at_prefix_ = false;
    bytes_.add(std::string_view(bytes).substr(prefixed ? 1 : 0), text);
  }
  void finish(std::string& text) override {
    bytes_.finish(text);
    at_prefix_ = drops_prefix_;
  }

 private:
  static constexpr std::string_view kBlank = "\u2581";

  const bool drops_prefix_;
  bool at_prefix_;
  HeldBytes bytes_;
};

}  // namespace

std::unique_ptr<DecoderState> ByteLevelDecoder::start() const {
  return std::make_unique<ByteLevelState>();
}

std::unique_ptr<DecoderState> SentencePieceDecoder::start() const {
  return std::make_unique<SentencePieceState>(drops_prefix_);
}

}  // namespace inlay
