// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "data/tokenizer/split_pattern.h"
#include "data/tokenizer_training/bpe_trainer.h"

/// A trained tokenizer in the files of Hugging Face's libraries.
namespace inlay {

/// Which of the special tokens does what; "" for none. bos is put in front of every text.
struct SpecialTokenRoles {
  std::string bos;
  std::string eos;
  std::string pad;
};

/// tokenizer.json. `special_tokens`: of `trained`, whose first pieces they are.
std::string tokenizer_json(const TrainedBpe& trained,
                           const std::vector<std::string>& special_tokens,
                           const SpecialTokenRoles& roles, SplitPattern pattern);

/// tokenizer_config.json beside it.
std::string tokenizer_config_json(const SpecialTokenRoles& roles);

}  // namespace inlay
