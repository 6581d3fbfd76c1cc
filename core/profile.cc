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
};

Counts& counts() {
  static Counts all;
  return all;
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
  counts().entries.clear();
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
  entry.seconds += std::chrono::duration<double>(now - counts().last).count();
  counts().last = now;
}

}  // namespace inlay::profile
