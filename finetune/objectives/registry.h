// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <memory>
#include <span>
#include <string_view>

#include "finetune/objectives/objective.h"

namespace inlay {

/// A row of the table of objectives.
struct ObjectiveKind {
  std::string_view name;
  std::shared_ptr<const Objective> (*make)();
};

/// The first one is what a run trains for that does not say.
std::span<const ObjectiveKind> objectives();

inline std::shared_ptr<const Objective> default_objective() {
  return objectives().front().make();
}

}  // namespace inlay
