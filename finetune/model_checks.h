// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "nn/models/hf_config.h"
#include "quant/checkpoint.h"

/// What config and files of a model say of each other.
namespace inlay {

/// Throws DataError naming the key to set when the file has more or fewer layers than the config.
void require_layers(const HfConfig& config, const Checkpoint& checkpoint);

/// A sentence for each start, stop or padding id of the config that the vocabulary lacks.
std::vector<std::string> id_notes(const HfConfig& config);

/// What is said of tensors that the model `name` has no use for: by name where they are the head of
/// another task, else in one sentence.
std::vector<std::string> unused_notes(const std::string& name,
                                      const std::vector<std::string>& unused);

}  // namespace inlay
