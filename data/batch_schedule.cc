// SPDX-License-Identifier: Apache-2.0
#include "data/batch_schedule.h"

#include <algorithm>
#include <numeric>

namespace inlay {

const std::vector<i64>& BatchSchedule::order(i64 epoch) const {
  if (cached_epoch_ != epoch) {
    if (options_.shuffle) {
      cached_order_ = random_permutation(options_.rows,
                                         options_.key.with("order").with(static_cast<u64>(epoch)));
    } else {
      cached_order_.resize(options_.rows);
      std::iota(cached_order_.begin(), cached_order_.end(), i64{0});
    }
    cached_epoch_ = epoch;
  }
  return cached_order_;
}

std::vector<std::vector<i64>> BatchSchedule::step(i64 s) const {
  const std::vector<i64>& rows = order(s / steps_per_epoch());
  const i64 first = s % steps_per_epoch() * options_.accumulation;
  const i64 last = std::min(batches_per_epoch(), first + options_.accumulation);
  std::vector<std::vector<i64>> batches;
  for (i64 b = first; b < last; ++b) {
    const auto begin = rows.begin() + b * options_.batch_size;
    const auto end = rows.begin() + std::min(options_.rows, (b + 1) * options_.batch_size);
    batches.emplace_back(begin, end);
  }
  return batches;
}

double BatchSchedule::epoch_after(i64 s) const {
  const i64 whole = s / steps_per_epoch();
  const i64 done =
      std::min(batches_per_epoch(), (s % steps_per_epoch() + 1) * options_.accumulation);
  return static_cast<double>(whole) +
         static_cast<double>(done) / static_cast<double>(batches_per_epoch());
}

}  // namespace inlay
