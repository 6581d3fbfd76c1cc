// SPDX-License-Identifier: Apache-2.0
#include "core/parallel.h"

#include <omp.h>

#include <algorithm>
#include <atomic>
#include <exception>

#include "core/profile.h"
#include "core/thread_pool.h"
#include "core/threads.h"

namespace inlay {
namespace {

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
  return std::max(0, pool_thread());
}

void parallel_for(i64 count, FunctionRef<void(i64 task)> task) {
  const auto alone = [&] {
    for (i64 i = 0; i < count; ++i) {
      task(i);
    }
  };
  if (count <= 1 || pool_thread() >= 0) {
    alone();
    return;
  }
  const profile::ParallelScope scope;
  const int threads = static_cast<int>(std::min<i64>(count, num_threads()));
  if (threads <= 1) {
    alone();
    return;
  }
  std::exception_ptr failure;
  std::atomic<bool> failed{false};
  const auto guarded = [&](i64 i) {
    if (failed.load(std::memory_order_relaxed)) {
      return;
    }
    try {
      task(i);
    } catch (...) {
      if (!failed.exchange(true)) {
        failure = std::current_exception();
      }
    }
  };
  if (!run_on_threads(count, threads, guarded)) {
    alone();
    return;
  }
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
