// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "core/planning.h"

namespace inlay {

/// A rehearsal of work, for the memory it would take. While one lives, the work's own code runs
/// with everything but the arithmetic: parallel_for runs no task, the few serial loops over many
/// values (those that ask planning()) are left out, no weight is read from its file, and a tensor
/// is an address with nothing behind it, booked in books of the rehearsal's own (memory.h). All
/// values are meaningless, mostly zero; shapes, lifetimes and the order of allocations are the
/// real ones, for they never depend on values.
///
/// Tensors made in a rehearsal must be gone when it ends, and older ones must not end in it. One at
/// a time; not beside other work.
class Planning {
 public:
  Planning();
  ~Planning();
  Planning(const Planning&) = delete;
  Planning& operator=(const Planning&) = delete;
};

}  // namespace inlay
