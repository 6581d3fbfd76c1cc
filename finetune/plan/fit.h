// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "finetune/plan/rehearsal.h"

namespace inlay {

/// What runtime.max_memory allows this process to take, in bytes: the size it names, or for "auto"
/// nine tenths of what is free now (the tenth is for others, and for what a plan may miss), and
/// what the process has already.
i64 allowed_memory(const RuntimeConfig& runtime);

/// A run's config with gradient_checkpointing and prepack_weights made definite, and what it comes
/// to.
struct FittedRun {
  RunConfig config;
  Forecast forecast;
  i64 allowed = 0;
  bool fits() const { return forecast.resident <= allowed; }
};

/// "auto" becomes the least recomputation with which the run fits what is allowed: none, then
/// "selective" in as few layers as it takes, then "block" in as few; where nothing is enough, all
/// blocks. Then prepack_weights "auto" becomes "always" if there is room left for that, else
/// "never". Anything else stays. `config` must say its dtypes.
FittedRun fit_run(RunConfig config, RunInputs& inputs);

/// One sentence for a run that does not fit: what it needs, what is allowed, and the three changes
/// of the config that would make it fit at the least cost in time or quality, or that come nearest.
std::string does_not_fit(const FittedRun& run, RunInputs& inputs);

}  // namespace inlay
