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
/// there are, and for `architectures` of another task: a classifier, a reward model.
std::unique_ptr<CausalLM> make_model(const HfConfig& config, WeightSource& weights);

/// The families make_model knows, as `model_type` spells them.
std::vector<std::string> model_families();

/// The number of layers, and the key that has it: "num_hidden_layers".
struct LayerSetting {
  std::string key;
  i64 count = 0;
};
/// Throws DataError as make_model.
LayerSetting layer_setting(const HfConfig& config);

/// A sentence for each setting that is set and not followed, as in Transformers.
std::vector<std::string> config_notes(const HfConfig& config);

}  // namespace inlay
