// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "finetune/bench/machine.h"
#include "finetune/bench/train_bench.h"

namespace inlay {

/// The same training steps with one thread, two, four and so on.
struct ScalingStep {
  TrainBench bench;     // with its profile
  MachinePeak machine;  // with as many threads
};

/// What one op costs beyond its share of one thread's time, a step: with n threads an op that one
/// thread does in t should take t / n. `serial` is the time in it in which only one thread had
/// work.
struct ScalingLoss {
  std::string op;
  profile::Phase phase = profile::Phase::kForward;
  double one_thread = 0.0;  // seconds a step
  double seconds = 0.0;     // with all threads
  double serial = 0.0;
  double lost = 0.0;  // seconds - one_thread / n; below 0 where caches make up for more
};

/// 1, 2, 4, …, and `most` itself.
std::vector<int> scaling_threads(int most);

/// bench_training() with each of these numbers of threads. num_threads() is what it was.
std::vector<ScalingStep> bench_scaling(const RunConfig& config, TrainBenchOptions options,
                                       const std::vector<int>& threads);

/// Where the time of the last goes that the first would not explain, the most first. A step took as
/// long as its ops together, so the losses add up to all that is lost.
std::vector<ScalingLoss> scaling_losses(const std::vector<ScalingStep>& steps);

}  // namespace inlay
