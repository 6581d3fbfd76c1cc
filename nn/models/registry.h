// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "nn/causal_lm.h"
#include "nn/models/hf_config.h"
#include "nn/weights.h"

namespace inlay {

/// Builds the model that `model_type` of config.json names. Throws DataError naming the families
/// there are.
std::unique_ptr<CausalLM> make_model(const HfConfig& config, WeightSource& weights);

/// The families make_model knows, as `model_type` spells them.
std::vector<std::string> model_families();

}  // namespace inlay
