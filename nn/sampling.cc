// SPDX-License-Identifier: Apache-2.0
#include "nn/sampling.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

namespace inlay {

namespace {

// By several chains of comparisons: one waits for each of its own. NaNs behind the first value are
// passed over, as std::max_element does it.
float largest(std::span<const float> x) {
  constexpr std::size_t kChains = 32;
  float most[kChains];
  std::fill_n(most, kChains, x[0]);
  std::size_t i = 0;
  for (; i + kChains <= x.size(); i += kChains) {
    for (std::size_t c = 0; c < kChains; ++c) {
      most[c] = most[c] < x[i + c] ? x[i + c] : most[c];
    }
  }
  for (; i < x.size(); ++i) {
    most[0] = most[0] < x[i] ? x[i] : most[0];
  }
  return *std::max_element(most, most + kChains);
}

}  // namespace

i32 argmax(std::span<const float> logits) {
  return std::isnan(logits[0])
             ? 0
             : static_cast<i32>(std::ranges::find(logits, largest(logits)) - logits.begin());
}

i32 sample(std::span<const float> logits, const SamplingOptions& options, RandomKey key,
           u64 index) {
  if (options.temperature <= 0.0) {
    return argmax(logits);
  }
  std::vector<i32> ids(logits.size());
  std::iota(ids.begin(), ids.end(), 0);
  const auto likelier = [&](i32 a, i32 b) {
    return logits[a] != logits[b] ? logits[a] > logits[b] : a < b;
  };
  const bool cut = options.top_k > 0 && options.top_k < static_cast<i64>(ids.size());
  const auto end = cut ? ids.begin() + options.top_k : ids.end();
  std::partial_sort(ids.begin(), end, ids.end(), likelier);
  ids.erase(end, ids.end());

  std::vector<double> weight;
  const double most = static_cast<double>(logits[ids.front()]);
  for (const i32 id : ids) {
    weight.push_back(std::exp((static_cast<double>(logits[id]) - most) / options.temperature));
  }
  double total = std::accumulate(weight.begin(), weight.end(), 0.0);
  if (options.top_p < 1.0) {
    double reached = 0.0;
    std::size_t kept = 0;
    while (kept < weight.size() && (kept == 0 || reached < options.top_p * total)) {
      reached += weight[kept++];
    }
    weight.resize(kept);
    total = reached;
  }
  double target = static_cast<double>(random_uniform(key, index)) * total;
  for (std::size_t i = 0; i + 1 < weight.size(); ++i) {
    target -= weight[i];
    if (target < 0.0) {
      return ids[i];
    }
  }
  return ids[weight.size() - 1];
}

}  // namespace inlay
