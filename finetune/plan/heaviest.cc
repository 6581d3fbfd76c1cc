// SPDX-License-Identifier: Apache-2.0
#include "finetune/plan/heaviest.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace inlay {
namespace {

using Batch = std::vector<i64>;

// The first step makes the optimizer's moments, those after it run beside them.
constexpr i64 kFirstSteps = 3;
constexpr i64 kMaxRowVisits = 4'000'000;  // tens of milliseconds

struct BatchSize {
  i64 tokens = 0, trained = 0;
};

class RowSizes {
 public:
  explicit RowSizes(std::span<const Example> rows) {
    for (const Example& row : rows) {
      sizes_.push_back({static_cast<i64>(row.ids.size()), row.trained()});
    }
  }

  BatchSize of(const Batch& batch) const {
    BatchSize sum;
    for (const i64 row : batch) {
      sum.tokens += sizes_[row].tokens;
      sum.trained += sizes_[row].trained;
    }
    return sum;
  }

  // The rows with the most tokens.
  Batch longest(std::size_t count) const {
    Batch order(sizes_.size());
    std::iota(order.begin(), order.end(), i64{0});
    std::ranges::stable_sort(order, std::ranges::greater(),
                             [&](i64 row) { return sizes_[row].tokens; });
    order.resize(std::min(count, order.size()));
    return order;
  }

 private:
  std::vector<BatchSize> sizes_;
};

// The batches with the most tokens and with the most trained tokens so far.
class HeaviestBatches {
 public:
  void add(const Batch& batch, BatchSize size) {
    const BatchSize& a = longest_size_;
    if (std::pair(size.tokens, size.trained) > std::pair(a.tokens, a.trained)) {
      longest_ = batch;
      longest_size_ = size;
    }
    const BatchSize& b = most_trained_size_;
    if (std::pair(size.trained, size.tokens) > std::pair(b.trained, b.tokens)) {
      most_trained_ = batch;
      most_trained_size_ = size;
    }
  }
  bool found() const { return !longest_.empty(); }
  bool covers(const HeaviestBatches& other) const {
    return longest_size_.tokens >= other.longest_size_.tokens &&
           most_trained_size_.trained >= other.most_trained_size_.trained;
  }
  std::vector<Batch> batches() const {
    const bool one = longest_size_.trained >= most_trained_size_.trained;
    return one ? std::vector<Batch>{longest_} : std::vector<Batch>{longest_, most_trained_};
  }

 private:
  Batch longest_, most_trained_;
  BatchSize longest_size_, most_trained_size_;
};

}  // namespace

std::vector<std::vector<Batch>> heaviest_steps(const BatchSchedule& schedule, i64 steps,
                                               std::span<const Example> rows) {
  const RowSizes sizes(rows);
  // Apart by place in the step: gradients of earlier batches take memory beside a later one.
  HeaviestBatches first_batches, later;
  const std::vector<Batch> first = schedule.step(0);
  i64 visits = 0;
  i64 step = 0;
  for (; step < steps && visits < kMaxRowVisits; ++step) {
    const std::vector<Batch> batches = schedule.step(step);
    for (std::size_t b = 0; b < batches.size(); ++b) {
      (b == 0 ? first_batches : later).add(batches[b], sizes.of(batches[b]));
      visits += static_cast<i64>(batches[b].size());
    }
  }
  if (step < steps) {
    const Batch worst = sizes.longest(first[0].size());
    (first.size() == 1 ? first_batches : later).add(worst, sizes.of(worst));
  }
  std::vector<std::vector<Batch>> out;
  // A run of one step has no moments while it is in its passes: nothing may stand before it.
  for (i64 s = 0; s < std::min(steps, kFirstSteps) && steps > 1; ++s) {
    std::vector<Batch> batches = schedule.step(s);
    batches.resize(std::min<std::size_t>(2, batches.size()));
    out.push_back(std::move(batches));
  }
  if (!later.found() || !later.covers(first_batches)) {
    for (const Batch& batch : first_batches.batches()) {
      out.push_back({batch});
    }
  }
  for (const Batch& batch : later.found() ? later.batches() : std::vector<Batch>()) {
    out.push_back({first[0], batch});
  }
  return out;
}

i64 heaviest_evaluation(std::span<const Example> rows, i64 batch_size) {
  i64 heaviest = 0;
  i64 most = -1;
  for (i64 begin = 0; begin < std::ssize(rows); begin += batch_size) {
    i64 tokens = 0;
    for (const Example& row : rows.subspan(begin, std::min(batch_size, std::ssize(rows) - begin))) {
      tokens += static_cast<i64>(row.ids.size());
    }
    if (tokens > most) {
      most = tokens;
      heaviest = begin;
    }
  }
  return heaviest;
}

}  // namespace inlay
