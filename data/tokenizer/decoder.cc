// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/decoder.h"

#include "core/types.h"
#include "data/text/utf8.h"
#include "data/tokenizer/byte_level.h"

namespace inlay {
namespace {

class ByteLevelState final : public DecoderState {
 public:
  void push(std::string_view piece, std::string& text) override {
    const auto bytes = from_byte_letters(piece);
    held_ += bytes ? std::string_view(*bytes) : piece;
    const std::string_view held = held_;
    const i64 settled = held.size() - unfinished_utf8_tail(held);
    append_as_utf8(text, held.substr(0, settled));
    held_.erase(0, settled);
  }

  void finish(std::string& text) override {
    append_as_utf8(text, held_);
    held_.clear();
  }

 private:
  std::string held_;  // at most the first bytes of one character
};

}  // namespace

std::unique_ptr<DecoderState> ByteLevelDecoder::start() const {
  return std::make_unique<ByteLevelState>();
}

}  // namespace inlay
