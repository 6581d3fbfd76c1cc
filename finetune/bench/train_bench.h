// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/memory/memory.h"
#include "core/profile.h"
#include "finetune/bench/timing.h"
#include "finetune/bench/useful_work.h"
#include "finetune/config/run_config.h"

namespace inlay {

struct TrainBenchOptions {
  i64 length = 512;      // tokens of every row
  i64 steps = 5;         // after one to warm up
  bool profile = false;  // time the ops of all of them
};

struct TrainBench {
  std::string model;
  i64 tokens = 0;  // of a step
  i64 trained_parameters = 0;
  Timing step;        // whole steps: forward, backward, clipping, optimizer
  UsefulWork work;    // a token's
  MemoryReport peak;  // tracked bytes
  i64 peak_rss = 0;
  double last_loss = 0.0;
  std::vector<profile::Entry> profile;  // of all measured steps

  double tokens_per_second() const { return static_cast<double>(tokens) / step.median(); }
  double useful_flops() const { return work.training() * tokens_per_second(); }
};

/// Trains the config's model, with its adapter and settings, on rows of random tokens, every one of
/// them trained on; no data is read and nothing is written. Throws as run_training does.
TrainBench bench_training(const RunConfig& config, const TrainBenchOptions& options);

}  // namespace inlay
