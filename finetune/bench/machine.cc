// SPDX-License-Identifier: Apache-2.0
#include "finetune/bench/machine.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "core/kernels/cpu/isa/peak.h"
#include "core/parallel.h"
#include "finetune/bench/timing.h"

namespace inlay {
namespace {

// A run takes about half a millisecond, less than a time slice, so that most are not interrupted.
constexpr double kRunSeconds = 5e-4;
constexpr int kRuns = 600;
// A rested processor runs wide instructions faster for a few hundredths of a second than it can for
// long.
constexpr double kWarmUpSeconds = 0.1;
// Several times the largest cache of common machines.
constexpr i64 kReadBytes = i64{512} << 20;
constexpr int kReadRuns = 3;

class ThreadCount {
 public:
  explicit ThreadCount(int threads) : before_(num_threads()) { set_num_threads(threads); }
  ~ThreadCount() { set_num_threads(before_); }
  ThreadCount(const ThreadCount&) = delete;
  ThreadCount& operator=(const ThreadCount&) = delete;

 private:
  int before_;
};

double wall_seconds(FunctionRef<void()> work) {
  Timing timing;
  Stopwatch watch;
  work();
  watch.lap(timing);
  return timing.wall[0];
}

// The rate of `loop` on all threads at once.
double usual_flops(int threads, double (*loop)(i64 steps, float* sink)) {
  float sink = 0.0F;
  double flops = 0.0;
  i64 steps = 64;
  while (wall_seconds([&] { flops = loop(steps, &sink); }) < kRunSeconds) {
    if (flops == 0.0) {
      return 0.0;
    }
    steps *= 2;
  }
  // Every thread is asked for its own rate, so that none pays for another that had to wait.
  std::vector<double> usual(threads);
  parallel_for(threads, [&](i64 thread) {
    float own = 0.0F;
    const auto one = [&] { loop(steps, &own); };
    for (double warm = 0.0; warm < kWarmUpSeconds;) {
      warm += wall_seconds(one);
    }
    std::vector<double> rates(kRuns);
    for (double& rate : rates) {
      rate = flops / wall_seconds(one);
    }
    std::ranges::nth_element(rates, rates.begin() + kRuns / 2);
    usual[thread] = rates[kRuns / 2];
  });
  return std::accumulate(usual.begin(), usual.end(), 0.0);
}

double best_read_bytes() {
  constexpr i64 kGrain = i64{1} << 18;  // 1 MB a task
  // Not from the cache of blocks, which would keep the pages.
  const std::vector<float> values(kReadBytes / sizeof(float), 1.0F);
  double best = 0.0;
  for (int run = 0; run < kReadRuns; ++run) {
    const double seconds = wall_seconds([&] {
      parallel_rows(static_cast<i64>(values.size()), kGrain, [&](i64 begin, i64 end) {
        kernels::read_loop(std::span(values).subspan(begin, end - begin));
      });
    });
    best = std::max(best, static_cast<double>(kReadBytes) / seconds);
  }
  return best;
}

}  // namespace

MachinePeak measure_machine(int threads) {
  const ThreadCount guard(threads);
  MachinePeak peak;
  peak.threads = threads;
  peak.f32_flops = usual_flops(threads, kernels::fma_loop);
  peak.bf16_flops = usual_flops(threads, kernels::bf16_loop);
  peak.int8_ops = usual_flops(threads, kernels::int8_loop);
  peak.read_bytes = best_read_bytes();
  return peak;
}

}  // namespace inlay
