// SPDX-License-Identifier: Apache-2.0
#include "core/parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>

#include "core/threads.h"

// libgomp is not instrumented: without these two notes the thread sanitizer sees no order between a
// region's tasks and the code around it.
// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming)
#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_acquire(void* address);
extern "C" void __tsan_release(void* address);
#else
static void __tsan_acquire(void* /*address*/) {}
static void __tsan_release(void* /*address*/) {}
#endif
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)

namespace inlay {
namespace {

// The tasks of a region, divided into as many ranges as there are threads. A thread works through
// its own range first and then takes tasks from the others', so that work split in the same way in
// one region after the other (rows of a batch) mostly stays with one thread, in its caches: between
// two cores, a cache line may take longer than from memory itself.
class TaskRanges {
 public:
  TaskRanges(i64 count, int threads) : count_(count), ranges_(std::min(threads, kMaxRanges)) {
    for (int r = 0; r < ranges_; ++r) {
      next_[r].index.store(begin(r), std::memory_order_relaxed);
    }
  }

  /// Runs work(task) for tasks nobody has taken yet, until there are none or work returns false.
  template <class Work>
  void run(int thread, Work work) {
    for (int i = 0; i < ranges_; ++i) {
      const int range = (thread + i) % ranges_;
      const i64 end = begin(range + 1);
      for (i64 task = take(range); task < end; task = take(range)) {
        if (!work(task)) {
          return;
        }
      }
    }
  }

 private:
  // Beyond as many threads, several share a range; the array then still fits the stack.
  static constexpr int kMaxRanges = 64;
  // A cache line each, or threads would invalidate one another's at every task.
  struct alignas(64) Next {
    std::atomic<i64> index;
  };

  i64 begin(int range) const { return count_ * range / ranges_; }
  i64 take(int range) { return next_[range].index.fetch_add(1, std::memory_order_relaxed); }

  i64 count_;
  int ranges_;
  Next next_[kMaxRanges];
};

// How many threads may work, and how many the system is known to start.
struct ThreadLimit {
  int started = startable_threads(available_processors());
  int limit = started;
  int refused = available_processors() - started;
};

ThreadLimit& thread_limit() {
  static ThreadLimit limit;
  return limit;
}

}  // namespace

int available_processors() {
  return std::max(1, omp_get_num_procs());
}

void set_num_threads(int count) {
  ThreadLimit& threads = thread_limit();
  const int wanted = std::max(1, count);
  if (wanted > threads.started) {
    threads.started = std::max(threads.started, startable_threads(wanted));
  }
  threads.limit = std::min(wanted, threads.started);
  threads.refused = wanted - threads.limit;
}

int num_threads() {
  return thread_limit().limit;
}

int refused_threads() {
  return thread_limit().refused;
}

int thread_index() {
  return omp_in_parallel() != 0 ? omp_get_thread_num() : 0;
}

// libgomp's threads read the region's arguments before they reach __tsan_acquire, so the thread
// sanitizer would report a race here that the barrier of the region excludes.
__attribute__((no_sanitize("thread"))) void parallel_for(i64 count,
                                                         FunctionRef<void(i64 task)> task) {
  const int threads = static_cast<int>(std::min<i64>(count, num_threads()));
  if (threads <= 1 || omp_in_parallel() != 0) {
    for (i64 i = 0; i < count; ++i) {
      task(i);
    }
    return;
  }
  std::exception_ptr failure;
  std::atomic<bool> failed{false};
  TaskRanges tasks(count, threads);
  char fence = 0;
  __tsan_release(&fence);
#pragma omp parallel num_threads(threads)
  {
    __tsan_acquire(&fence);
    tasks.run(omp_get_thread_num(), [&](i64 i) {
      try {
        task(i);
      } catch (...) {
        if (!failed.exchange(true)) {
          failure = std::current_exception();
        }
      }
      return !failed.load(std::memory_order_relaxed);
    });
    __tsan_release(&fence);
  }
  __tsan_acquire(&fence);
  if (failure) {
    std::rethrow_exception(failure);
  }
}

void parallel_rows(i64 rows, i64 grain, FunctionRef<void(i64 begin, i64 end)> body) {
  const i64 pieces = (rows + grain - 1) / grain;
  parallel_for(pieces, [&](i64 piece) {
    const i64 begin = piece * grain;
    body(begin, std::min(rows, begin + grain));
  });
}

}  // namespace inlay
