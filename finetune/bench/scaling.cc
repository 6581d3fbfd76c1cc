// SPDX-License-Identifier: Apache-2.0
#include "finetune/bench/scaling.h"

#include <algorithm>
#include <map>
#include <utility>

#include "core/parallel.h"

namespace inlay {
namespace {

double a_step(const ScalingStep& step, double seconds) {
  return seconds / static_cast<double>(step.bench.step.wall.size());
}

}  // namespace

std::vector<int> scaling_threads(int most) {
  std::vector<int> threads;
  for (int n = 1; n < most; n *= 2) {
    threads.push_back(n);
  }
  threads.push_back(std::max(1, most));
  return threads;
}

std::vector<ScalingStep> bench_scaling(const RunConfig& config, TrainBenchOptions options,
                                       const std::vector<int>& threads) {
  const int before = num_threads();
  options.profile = true;
  std::vector<ScalingStep> steps;
  for (const int n : threads) {
    set_num_threads(n);
    steps.push_back({.bench = bench_training(config, options), .machine = {}});
  }
  // The machine afterwards: what it takes for that would hide the peak of the work's memory.
  for (std::size_t i = 0; i < steps.size(); ++i) {
    steps[i].machine = measure_machine(threads[i]);
  }
  set_num_threads(before);
  return steps;
}

std::vector<ScalingLoss> scaling_losses(const std::vector<ScalingStep>& steps) {
  const ScalingStep& first = steps.front();
  const ScalingStep& last = steps.back();
  std::map<std::pair<std::string, profile::Phase>, ScalingLoss> ops;
  const auto loss_of = [&](const profile::Entry& entry) -> ScalingLoss& {
    ScalingLoss& loss = ops[{entry.name, entry.phase}];
    loss.op = entry.name;
    loss.phase = entry.phase;
    return loss;
  };
  for (const profile::Entry& entry : first.bench.profile) {
    loss_of(entry).one_thread = a_step(first, entry.seconds);
  }
  for (const profile::Entry& entry : last.bench.profile) {
    loss_of(entry).seconds = a_step(last, entry.seconds);
    loss_of(entry).serial = a_step(last, entry.serial_seconds);
  }
  std::vector<ScalingLoss> out;
  for (auto& [key, loss] : ops) {
    loss.lost = loss.seconds - loss.one_thread / last.machine.threads * first.machine.threads;
    out.push_back(loss);
  }
  std::ranges::stable_sort(out, std::ranges::greater(), &ScalingLoss::lost);
  return out;
}

}  // namespace inlay
