// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "finetune/bench/scaling.h"
#include "finetune/config/run_config.h"

namespace inlay {

/// `inlay bench train --scaling`: a row a number of threads, and where the time went that more
/// threads did not take away. `config` has no "auto" left.
void report_scaling(const RunConfig& config, const std::vector<ScalingStep>& steps, bool json);

}  // namespace inlay
