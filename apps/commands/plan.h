// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "finetune/train_run.h"

namespace inlay {

/// What backward computes again: "nothing", "selected products of the first 12 layers".
std::string recomputed_text(const RunPlan& plan);

}  // namespace inlay
