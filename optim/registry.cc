// SPDX-License-Identifier: Apache-2.0
#include <utility>

#include "core/error.h"
#include "optim/adamw.h"
#include "optim/adamw_8bit.h"
#include "optim/optimizer.h"

namespace inlay {

std::vector<std::string> optimizer_names() {
  return {"adamw", "adamw_8bit"};
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerConfig& config,
                                          std::vector<Parameter> parameters) {
  if (config.name == "adamw") {
    return std::make_unique<AdamW>(config, std::move(parameters));
  }
  if (config.name == "adamw_8bit") {
    return std::make_unique<AdamW8bit>(config, parameters);
  }
  throw ConfigError(str("optim: unknown optimizer \"", config.name, "\"",
                        did_you_mean(config.name, optimizer_names())));
}

}  // namespace inlay
