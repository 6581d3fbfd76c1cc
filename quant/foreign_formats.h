// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <optional>
#include <string>

#include "core/io/safetensors.h"
#include "nn/models/hf_config.h"

namespace inlay {

/// Holds what a folder says of its quantisation against its tensors. Throws DataError naming the
/// method (gptq, awq, fp8, …) and what to use instead when the weights are quantised in a way inlay
/// does not read: anything but bitsandbytes' 4 bits. Returns a sentence when config and tensors
/// disagree and the tensors can be read.
std::optional<std::string> check_quantization(const std::string& folder, const HfConfig& config,
                                              const SafetensorsModel& model);

}  // namespace inlay
