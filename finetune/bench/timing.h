// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/parallel.h"
#include "core/types.h"

namespace inlay {

/// How long each of several calls of the same work took.
struct Timing {
  std::vector<double> wall;  // seconds
  /// Processor time of all threads divided by their number: what a machine shared with other
  /// programs would have taken alone.
  std::vector<double> cpu;

  double median() const;
  double best() const;
  void append(const Timing& other);
};

/// A stopwatch of both clocks.
class Stopwatch {
 public:
  Stopwatch() { begin(); }
  void begin();
  /// Adds the time since begin() or the last lap, and begins anew.
  void lap(Timing& timing);

 private:
  double wall_ = 0.0, cpu_ = 0.0;
};

/// Calls `work` once to warm up, then `steps` times.
Timing time_calls(i64 steps, FunctionRef<void()> work);

}  // namespace inlay
