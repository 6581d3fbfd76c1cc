// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>

namespace inlay {

/// Text from pieces that come one by one.
class DecoderState {
 public:
  virtual ~DecoderState() = default;
  /// Takes the next piece, spelt as in the vocabulary, and appends the text that is settled now,
  /// whatever comes next.
  virtual void push(std::string_view piece, std::string& text) = 0;
  /// Appends what was held back; the state is then as new.
  virtual void finish(std::string& text) = 0;
};

/// How pieces become text again. Immutable; safe to use from many threads.
class Decoder {
 public:
  virtual ~Decoder() = default;
  virtual std::unique_ptr<DecoderState> start() const = 0;
};

/// Pieces spelt in byte letters. A piece with any other character is taken for its own UTF-8: so
/// are added tokens that hold a blank, say.
class ByteLevelDecoder final : public Decoder {
 public:
  std::unique_ptr<DecoderState> start() const override;
};

/// Pieces as SentencePiece spells them: U+2581 is a blank, and "<0xE2>" a byte. `drops_prefix`: the
/// blank that encoding puts before a text is left out again.
class SentencePieceDecoder final : public Decoder {
 public:
  explicit SentencePieceDecoder(bool drops_prefix) : drops_prefix_(drops_prefix) {}
  std::unique_ptr<DecoderState> start() const override;

 private:
  bool drops_prefix_;
};

}  // namespace inlay
