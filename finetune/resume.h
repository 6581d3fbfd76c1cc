// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "finetune/config/run_config.h"

namespace inlay {

/// Throws ConfigError unless `config` means the run whose resolved config is in `file`: a resumed
/// run must be the same run. What does not touch its numbers may differ: logging, evaluation,
/// saving, threads.
void check_same_run(const std::string& file, const RunConfig& config);

}  // namespace inlay
