// SPDX-License-Identifier: Apache-2.0
#include "finetune/bench/timing.h"

#include <algorithm>
#include <ctime>

#include "core/error.h"

namespace inlay {
namespace {

double read_clock(clockid_t which) {
  timespec t = {};
  clock_gettime(which, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

}  // namespace

double Timing::median() const {
  INLAY_ASSERT(!wall.empty());
  std::vector<double> sorted = wall;
  std::ranges::sort(sorted);
  const std::size_t half = sorted.size() / 2;
  return sorted.size() % 2 == 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

double Timing::best() const {
  INLAY_ASSERT(!wall.empty());
  return std::ranges::min(wall);
}

void Timing::append(const Timing& other) {
  wall.insert(wall.end(), other.wall.begin(), other.wall.end());
  cpu.insert(cpu.end(), other.cpu.begin(), other.cpu.end());
}

void Stopwatch::begin() {
  wall_ = read_clock(CLOCK_MONOTONIC);
  cpu_ = read_clock(CLOCK_PROCESS_CPUTIME_ID);
}

void Stopwatch::lap(Timing& timing) {
  // What is before this reading is in this lap, what is after it in the next: nothing is lost.
  const double wall = wall_, cpu = cpu_;
  begin();
  // A nanosecond at least, so that a rate is always finite.
  timing.wall.push_back(std::max(1e-9, wall_ - wall));
  timing.cpu.push_back(std::max(1e-9, (cpu_ - cpu) / num_threads()));
}

Timing time_calls(i64 steps, FunctionRef<void()> work) {
  work();
  Timing timing;
  Stopwatch watch;
  for (i64 step = 0; step < steps; ++step) {
    work();
    watch.lap(timing);
  }
  return timing;
}

}  // namespace inlay
