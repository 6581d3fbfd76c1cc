// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string_view>

#include "core/kernels/activation.h"
#include "nn/models/hf_config.h"

/// Values of config.json that many families have under keys of their own. All throw DataError
/// naming the key.
namespace inlay {

/// An activation function by its name; one that is not supported is answered with those that are.
kernels::Activation parse_activation(const HfConfig& config, std::string_view key,
                                     std::string_view otherwise);
/// In [0, 1).
float probability(const HfConfig& config, std::string_view key, double otherwise);
/// From 0.
double norm_eps(const HfConfig& config, std::string_view key, double otherwise);

}  // namespace inlay
