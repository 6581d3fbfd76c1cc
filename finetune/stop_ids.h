// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/types.h"
#include "nn/models/hf_config.h"

namespace inlay {

/// The tokens that end a generation as the files of a model say, a tokenizer left aside:
/// `eos_token_id` of generation_config.json in `directory`, or where that has none, of `config` or
/// its text_config. One id or a list.
struct ModelStops {
  std::vector<i32> ids;            // those the model has a row for
  std::vector<std::string> notes;  // on the others of generation_config.json, a sentence each
};

ModelStops read_model_stops(const HfConfig& config, const std::string& directory, i64 vocab_size);

}  // namespace inlay
