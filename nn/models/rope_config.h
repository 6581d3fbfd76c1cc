// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <span>

#include "nn/models/hf_config.h"
#include "nn/rotary.h"

namespace inlay {

/// The key of config.json under which a GGUF file's rotary settings stand that `rope_parameters`
/// has no words for: `extrapolation_factor` and `attention_factor`, as llama.cpp uses them. Only in
/// memory, never in a file.
inline constexpr const char* kGgufRopeKey = "gguf_rope";
/// The tensor of a GGUF file, by the name it is asked for, that divides the frequencies one by one:
/// how such files keep Llama 3's scaling.
inline constexpr const char* kGgufRopeDivisors = "rope_freqs.weight";

/// The object that holds the rotary settings, as Transformers 5.24 chooses it: a rope_scaling that
/// is not empty stands in for rope_parameters as a whole, else rope_parameters; nothing when
/// neither is there.
std::optional<HfConfig> rope_group(const HfConfig& config);

/// The base of the angles: the group's rope_theta, else the one beside it, else 10000.
double rope_theta(const HfConfig& config);

/// The rotary settings of config.json in the spellings of Transformers 4 (rope_theta, rope_scaling)
/// and 5 (rope_parameters). A key of the group goes before the same key beside it, but for
/// original_max_position_embeddings, where the outer one does. Throws DataError for settings that
/// are missing, of the wrong type or beyond what inlay computes.
RopeConfig parse_rope(const HfConfig& config, i64 head_dim, i64 max_positions);

/// Llama 3's scaling in the words of config.json, from the divisors of the frequencies that GGUF
/// files have in its place; nothing when the divisors are not those of any such scaling.
std::optional<nlohmann::json> llama3_parameters(double theta, std::span<const float> divisors);

}  // namespace inlay
