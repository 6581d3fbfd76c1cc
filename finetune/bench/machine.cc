// SPDX-License-Identifier: Apache-2.0
#include "finetune/bench/machine.h"

#include <algorithm>
#include <numeric>
#include <span>
#include <vector>

#include "core/kernels/peak.h"
#include "core/parallel.h"
#include "finetune/bench/timing.h"

namespace inlay {
namespace {

// A run takes about half a millisecond, less than a time slice, so that among many some are not
// interrupted.
constexpr double kRunSeconds = 5e-4;
constexpr int kRuns = 200;
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
double best_flops(int threads, double (*loop)(i64 steps, float* sink)) {
  float sink = 0.0F;
  double flops = 0.0;
  i64 steps = 64;
  while (wall_seconds([&] { flops = loop(steps, &sink); }) < kRunSeconds) {
    if (flops == 0.0) {
      return 0.0;
    }
    steps *= 2;
  }
  // Every thread is asked for its own best, so that none pays for another that had to wait.
  std::vector<double> best(threads);
  parallel_for(threads, [&](i64 thread) {
    float own = 0.0F;
    for (int run = 0; run < kRuns; ++run) {
      best[thread] = std::max(best[thread], flops / wall_seconds([&] { loop(steps, &own); }));
    }
  });
  return std::accumulate(best.begin(), best.end(), 0.0);
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
  peak.f32_flops = best_flops(threads, kernels::fma_loop);
  peak.bf16_flops = best_flops(threads, kernels::bf16_loop);
  peak.int8_ops = best_flops(threads, kernels::int8_loop);
  peak.read_bytes = best_read_bytes();
  return peak;
}

}  // namespace inlay
