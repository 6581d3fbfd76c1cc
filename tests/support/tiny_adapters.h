// SPDX-License-Identifier: Apache-2.0
#pragma once

// Adapters on the tiny models of tiny_models.h.

#include <nlohmann/json.hpp>

#include "finetune/adapters/adapter.h"
#include "tests/support/tiny_models.h"
#include "tests/support/training_run.h"

namespace inlay {

inline PeftConfig random_factors(OrderedJson json) {
  json["init_lora_weights"] = false;
  return peft_config(json);
}

inline Adapter inject(LoadedModel& loaded, const PeftConfig& config) {
  return inject_adapter(*loaded.model, config, {.key = RandomKey(3)});
}

}  // namespace inlay
