// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <vector>

#include "core/random.h"

namespace inlay {

/// Which rows each optimizer step trains on: a pure function of the step, so a run can go on from
/// any of them. An epoch is all rows once, in file order or in an order drawn for that epoch, cut
/// into batches (the last may be short); `accumulation` batches make a step, and an epoch's last
/// step may have fewer.
class BatchSchedule {
 public:
  struct Options {
    i64 rows = 0;  // > 0
    i64 batch_size = 1;
    i64 accumulation = 1;
    bool shuffle = false;
    RandomKey key{0};
  };
  explicit BatchSchedule(const Options& options) : options_(options) {}

  i64 batches_per_epoch() const {
    return (options_.rows + options_.batch_size - 1) / options_.batch_size;
  }
  i64 steps_per_epoch() const {
    return (batches_per_epoch() + options_.accumulation - 1) / options_.accumulation;
  }

  /// The batches of step s = 0, 1, …, each a list of rows.
  std::vector<std::vector<i64>> step(i64 s) const;
  /// Epochs done after step s, as a fraction.
  double epoch_after(i64 s) const;

 private:
  const std::vector<i64>& order(i64 epoch) const;

  Options options_;
  mutable i64 cached_epoch_ = -1;
  mutable std::vector<i64> cached_order_;
};

}  // namespace inlay
