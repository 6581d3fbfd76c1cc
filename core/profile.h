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
  /// Of them, outside of every parallel_for of more than one task: what no second thread can take.
  double serial_seconds = 0.0;
};

/// Forgets what was counted, and counts from now on.
void start();
/// Counts no more. Returns what was counted since start(), the longest first.
std::vector<Entry> stop();

namespace detail {
inline bool counting = false;
void note(const char* name, Phase phase);
void enter_parallel();
void leave_parallel();
}  // namespace detail

/// The time since the last mark was spent in `name`, which must outlive the profile.
inline void mark(const char* name, Phase phase) {
  if (detail::counting) {
    detail::note(name, phase);
  }
}

/// While it lives, other threads can have work: parallel_for says so, of calls that no other call is
/// around.
class ParallelScope {
 public:
  ParallelScope() : counting_(detail::counting) {
    if (counting_) {
      detail::enter_parallel();
    }
  }
  ~ParallelScope() {
    if (counting_) {
      detail::leave_parallel();
    }
  }
  ParallelScope(const ParallelScope&) = delete;
  ParallelScope& operator=(const ParallelScope&) = delete;

 private:
  bool counting_;
};

}  // namespace inlay::profile
