// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "data/tokenizer/tokenizer.h"

namespace inlay {

/// What each token covers, between bars: "|Hello| world|".
inline std::string pieces(const Tokenizer& tokenizer, const std::string& text,
                          const EncodeOptions& options = {}) {
  std::string out = "|";
  for (const TokenSpan& token : tokenizer.encode_with_offsets(text, options)) {
    out += text.substr(token.begin, token.end - token.begin) + '|';
  }
  return out;
}

}  // namespace inlay
