// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>

#include "core/memory/memory.h"
#include "finetune/plan/inputs.h"

namespace inlay {

/// What a run of the config would come to, found by rehearsing it (see core/backend/rehearsal.h):
/// the run's own code, from loading to the heaviest optimizer steps and evaluation.
struct Forecast {
  i64 trainable = 0;          // parameters
  std::string adapter_table;  // the modules an adapter changes
  double flops_a_token = 0.0;
  MemoryReport loaded;  // tracked bytes before the first step
  MemoryReport peak;    // tracked bytes at most
  i64 resident = 0;     // resident set of the process at most
};

/// `config` must say its dtypes and its gradient_checkpointing. It may differ from the one that
/// `inputs` were opened by in all that does not touch the rows. Throws what loading throws.
Forecast rehearse(const RunConfig& config, RunInputs& inputs);

}  // namespace inlay
