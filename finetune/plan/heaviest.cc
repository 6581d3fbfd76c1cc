// SPDX-License-Identifier: Apache-2.0
#include "finetune/plan/heaviest.h"

#include <algorithm>
#include <numeric>
#include <utility>

namespace inlay {
namespace {

using Batch = std::vector<i64>;

constexpr i64 kFirstSteps = 3;
constexpr i64 kMostRowVisits = 4'000'000;  // tens of milliseconds

struct Weight {
  i64 tokens = 0, trained = 0;
};

class Scale {
 public:
  explicit Scale(std::span<const Example> rows) {
    for (const Example& row : rows) {
      weights_.push_back({static_cast<i64>(row.ids.size()), row.trained()});
    }
  }

  Weight of(const Batch& batch) const {
    Weight sum;
    for (const i64 row : batch) {
      sum.tokens += weights_[row].tokens;
      sum.trained += weights_[row].trained;
    }
    return sum;
  }

  // The rows with the most tokens.
  Batch longest(std::size_t count) const {
    Batch order(weights_.size());
    std::iota(order.begin(), order.end(), i64{0});
    std::ranges::stable_sort(order, std::ranges::greater(),
                             [&](i64 row) { return weights_[row].tokens; });
    order.resize(std::min(count, order.size()));
    return order;
  }

 private:
  std::vector<Weight> weights_;
};

// The batches with the most tokens and with the most trained tokens so far.
class Most {
 public:
  void see(const Batch& batch, Weight weight) {
    if (std::pair(weight.tokens, weight.trained) > std::pair(long_.tokens, long_.trained)) {
      longest_ = batch;
      long_ = weight;
    }
    if (std::pair(weight.trained, weight.tokens) > std::pair(taught_.trained, taught_.tokens)) {
      most_trained_ = batch;
      taught_ = weight;
    }
  }
  bool found() const { return !longest_.empty(); }
  bool covers(const Most& other) const {
    return long_.tokens >= other.long_.tokens && taught_.trained >= other.taught_.trained;
  }
  std::vector<Batch> batches() const {
    const bool one = long_.trained >= taught_.trained;
    return one ? std::vector<Batch>{longest_} : std::vector<Batch>{longest_, most_trained_};
  }

 private:
  Batch longest_, most_trained_;
  Weight long_, taught_;
};

}  // namespace

std::vector<std::vector<Batch>> heaviest_steps(const BatchSchedule& schedule, i64 steps,
                                               std::span<const Example> rows) {
  const Scale scale(rows);
  Most alone, behind;
  const std::vector<Batch> first = schedule.step(0);
  i64 visits = 0;
  i64 step = 0;
  for (; step < steps && visits < kMostRowVisits; ++step) {
    const std::vector<Batch> batches = schedule.step(step);
    for (std::size_t b = 0; b < batches.size(); ++b) {
      (b == 0 ? alone : behind).see(batches[b], scale.of(batches[b]));
      visits += static_cast<i64>(batches[b].size());
    }
  }
  if (step < steps) {
    const Batch worst = scale.longest(first[0].size());
    (first.size() == 1 ? alone : behind).see(worst, scale.of(worst));
  }
  std::vector<std::vector<Batch>> out;
  // A run of one step has no moments while it is in its passes: nothing may stand before it.
  for (i64 s = 0; s < std::min(steps, kFirstSteps) && steps > 1; ++s) {
    std::vector<Batch> batches = schedule.step(s);
    batches.resize(std::min<std::size_t>(2, batches.size()));
    out.push_back(std::move(batches));
  }
  if (!behind.found() || !behind.covers(alone)) {
    for (const Batch& batch : alone.batches()) {
      out.push_back({batch});
    }
  }
  for (const Batch& batch : behind.found() ? behind.batches() : std::vector<Batch>()) {
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
