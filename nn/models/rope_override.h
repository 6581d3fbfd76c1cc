// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "nn/models/hf_config.h"

/// Other rotary settings than a model's own, to make it longer.
namespace inlay {

/// What is wrong with a rope_scaling by itself: for each mistake the place, as a JSON pointer below
/// it, and a sentence. Unknown keys and types, and no type at all.
std::vector<std::pair<std::string, std::string>> rope_scaling_problems(
    const nlohmann::json& rope_scaling);

/// The config with `rope_scaling` in place of the model's own scaling, in the words of Transformers
/// 5, as it is computed with and written:
///   - the base of the angles, the share of a head that turns and llama_4_scaling_beta stay the
///     model's where rope_scaling does not say them;
///   - llama3, yarn and longrope know the length before the stretching
///     (original_max_position_embeddings): the model's max_position_embeddings, unless said;
///   - max_position_embeddings becomes that length times the factor, if that is more, except with
///     dynamic, which measures the growth of a sequence by it;
///   - where layers differ by their type, the scaling is that of full attention, or an object for
///     each of the types it names.
/// `source` completes "config.json with ", in complaints about what the model makes of it. Throws
/// ConfigError for those and for a model without RoPE.
HfConfig with_rope_scaling(const HfConfig& config, const nlohmann::json& rope_scaling,
                           const std::string& source);

/// The same in short: "yarn, factor 4, 8192 positions".
std::string rope_scaling_text(const HfConfig& config);

}  // namespace inlay
