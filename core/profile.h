// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <string>
#include <vector>

#include "core/types.h"

/// Where the time of a step goes, by op. The clock is read where ops are recorded and where
/// backward has run one, and the time since it was last read belongs to that op: what an op calls
/// on the way (a norm made again for a product's backward, the ops inside a recomputed block) is
/// counted once, and the parts add up to the whole. Off by default, when a mark costs the look at
/// one flag. For one thread, the one that records.
namespace inlay::profile {

enum class Phase : u8 { kForward, kBackward, kOther };

/// "forward", "backward", "other"
const char* phase_name(Phase phase);

struct Entry {
  std::string name;
  Phase phase = Phase::kForward;
  i64 calls = 0;
  double seconds = 0.0;
};

/// Forgets what was counted, and counts from now on.
void start();
/// Counts no more. Returns what was counted since start(), the longest first.
std::vector<Entry> stop();

namespace detail {
inline bool counting = false;
void note(const char* name, Phase phase);
}  // namespace detail

/// The time since the last mark was spent in `name`, which must outlive the profile.
inline void mark(const char* name, Phase phase) {
  if (detail::counting) {
    detail::note(name, phase);
  }
}

}  // namespace inlay::profile
