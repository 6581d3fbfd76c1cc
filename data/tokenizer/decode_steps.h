// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "data/text/regex.h"
#include "data/tokenizer/decoder.h"

/// Decoders as tokenizer.json names them: steps that pass pieces on, one after the other.
///
/// Pieces come one by one and texts leave as soon as they are settled, so a piece may be passed on
/// in parts: `begins` tells that a part is the first of its piece.
namespace inlay {

class PieceSink {
 public:
  virtual ~PieceSink() = default;
  virtual void push(std::string_view part, bool begins) = 0;
  /// Nothing follows. All is then as new.
  virtual void finish() = 0;
};

/// Immutable; safe to use from many threads.
class DecodeStep {
 public:
  virtual ~DecodeStep() = default;
  /// What passes changed pieces on to `next`, which must outlive it.
  virtual std::unique_ptr<PieceSink> start(PieceSink& next) const = 0;
};
using DecodeStepPtr = std::shared_ptr<const DecodeStep>;

/// "Replace": in whole pieces.
DecodeStepPtr replace_in_pieces(Regex pattern, std::string content);
/// "ByteFallback": pieces such as "<0xE2>", side by side, become one piece of the bytes if they are
/// UTF-8, and otherwise a U+FFFD each. So text is held back to the end of such a run.
DecodeStepPtr bytes_of_pieces();
/// "Fuse": all pieces become one.
DecodeStepPtr fuse_pieces();
/// "Strip": without `content` (one character) at the sides of each piece, at most so often.
DecodeStepPtr strip_pieces(std::string content, i64 start, i64 stop);
/// "Metaspace": `replacement` becomes a blank; in the first piece, if it is `dropped` there,
/// nothing.
DecodeStepPtr metaspace_to_blanks(std::string replacement, bool dropped);
/// "ByteLevel": all pieces become one, spelt in bytes instead of their letters.
DecodeStepPtr letters_to_bytes();

/// Pieces through all steps, and then side by side.
class StepDecoder final : public Decoder {
 public:
  explicit StepDecoder(std::vector<DecodeStepPtr> steps) : steps_(std::move(steps)) {}
  std::unique_ptr<DecoderState> start() const override;

 private:
  std::vector<DecodeStepPtr> steps_;
};

}  // namespace inlay
