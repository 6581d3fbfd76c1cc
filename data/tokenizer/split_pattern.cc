// SPDX-License-Identifier: Apache-2.0
#include "data/tokenizer/split_pattern.h"

namespace inlay {

std::string_view expression_of(SplitPattern pattern) {
  switch (pattern) {
    case SplitPattern::kGpt2:
      return kGpt2Pattern;
    case SplitPattern::kLlama3:
      return kLlama3Pattern;
    case SplitPattern::kQwen2:
      return kQwen2Pattern;
  }
  return {};
}

std::span<const Choice<SplitPattern>> ChoicesOf<SplitPattern>::all() {
  static constexpr Choice<SplitPattern> kChoices[] = {{"gpt2", SplitPattern::kGpt2},
                                                      {"llama3", SplitPattern::kLlama3},
                                                      {"qwen2", SplitPattern::kQwen2}};
  return kChoices;
}

}  // namespace inlay
