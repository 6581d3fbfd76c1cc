// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "finetune/train_run.h"

namespace inlay {

/// What backward computes again: "nothing", "the MLP's first products (selective) of the first 12
/// layers".
std::string recomputed_text(const RunPlan& plan);

}  // namespace inlay
