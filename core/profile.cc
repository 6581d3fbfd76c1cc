// SPDX-License-Identifier: Apache-2.0
#include "core/profile.h"

#include <algorithm>
#include <chrono>
#include <map>
#include <string_view>
#include <utility>

namespace inlay::profile {
namespace {

using Clock = std::chrono::steady_clock;

struct Counts {
  std::map<std::pair<std::string_view, Phase>, Entry> entries;
  Clock::time_point last;
  // Since then: how long other threads could have had work, and since when they can.
  double parallel = 0.0;
  int depth = 0;
  Clock::time_point entered;
};

Counts& counts() {
  static Counts all;
  return all;
}

double seconds_between(Clock::time_point from, Clock::time_point to) {
  return std::chrono::duration<double>(to - from).count();
}

}  // namespace

const char* phase_name(Phase phase) {
  switch (phase) {
    case Phase::kForward:
      return "forward";
    case Phase::kBackward:
      return "backward";
    case Phase::kOther:
      return "other";
  }
  return "?";
}

void start() {
  counts() = {};
  counts().last = Clock::now();
  detail::counting = true;
}

std::vector<Entry> stop() {
  detail::counting = false;
  std::vector<Entry> out;
  for (const auto& [key, entry] : counts().entries) {
    out.push_back(entry);
  }
  std::ranges::stable_sort(out, std::ranges::greater(), &Entry::seconds);
  return out;
}

void detail::note(const char* name, Phase phase) {
  const Clock::time_point now = Clock::now();
  Entry& entry = counts().entries[{name, phase}];
  if (entry.calls == 0) {
    entry.name = name;
    entry.phase = phase;
  }
  entry.calls += 1;
  const double seconds = seconds_between(counts().last, now);
  entry.seconds += seconds;
  entry.serial_seconds += std::max(0.0, seconds - counts().parallel);
  counts().last = now;
  counts().parallel = 0.0;
}

// With one thread a task may call parallel_for again.
void detail::enter_parallel() {
  if (counts().depth++ == 0) {
    counts().entered = Clock::now();
  }
}

void detail::leave_parallel() {
  if (--counts().depth == 0) {
    counts().parallel += seconds_between(counts().entered, Clock::now());
  }
}

}  // namespace inlay::profile
