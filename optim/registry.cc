// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "core/error.h"
#include "optim/optimizer.h"

namespace inlay {

// Each stands in the file of its name.
OptimizerKind adamw();
OptimizerKind adamw_8bit();

// In the order in which help texts and errors name them.
std::span<const OptimizerKind> optimizers() {
  static const OptimizerKind kinds[] = {adamw(), adamw_8bit()};
  return kinds;
}

std::vector<std::string> optimizer_names() {
  std::vector<std::string> names;
  for (const OptimizerKind& kind : optimizers()) {
    names.emplace_back(kind.name);
  }
  return names;
}

const OptimizerKind& optimizer_named(std::string_view name) {
  const auto found = std::ranges::find(optimizers(), name, &OptimizerKind::name);
  if (found == optimizers().end()) {
    throw ConfigError(
        str("optim: unknown optimizer \"", name, "\"", did_you_mean(name, optimizer_names())));
  }
  return *found;
}

}  // namespace inlay
