// SPDX-License-Identifier: Apache-2.0
#include "core/parallel.h"

#include <omp.h>
#include <sched.h>

#include <algorithm>
#include <atomic>
#include <exception>

#include "core/planning.h"

// libgomp is not instrumented: without these two notes the thread sanitizer sees no order between a
// region's tasks and the code around it.
#if defined(__SANITIZE_THREAD__)
extern "C" void __tsan_acquire(void* address);  // NOLINT(bugprone-reserved-identifier)
extern "C" void __tsan_release(void* address);  // NOLINT(bugprone-reserved-identifier)
#else
static void __tsan_acquire(void* /*address*/) {}  // NOLINT(bugprone-reserved-identifier)
static void __tsan_release(void* /*address*/) {}  // NOLINT(bugprone-reserved-identifier)
#endif

namespace inlay {
namespace {

int& thread_limit() {
  static int limit = available_processors();
  return limit;
}

}  // namespace

int available_processors() {
  cpu_set_t set;
  if (sched_getaffinity(0, sizeof set, &set) == 0) {
    return std::max(1, CPU_COUNT(&set));
  }
  return std::max(1, omp_get_num_procs());
}

void set_num_threads(int count) {
  thread_limit() = std::max(1, count);
}

int num_threads() {
  return thread_limit();
}

int thread_index() {
  return omp_in_parallel() != 0 ? omp_get_thread_num() : 0;
}

void parallel_for(i64 count, FunctionRef<void(i64 task)> task) {
  if (planning()) {
    return;
  }
  const int threads = static_cast<int>(std::min<i64>(count, num_threads()));
  if (threads <= 1 || omp_in_parallel() != 0) {
    for (i64 i = 0; i < count; ++i) {
      task(i);
    }
    return;
  }
  std::exception_ptr failure;
  std::atomic<bool> failed{false};
  std::atomic<i64> next{0};
  char fence = 0;
  __tsan_release(&fence);
#pragma omp parallel num_threads(threads)
  {
    __tsan_acquire(&fence);
    for (i64 i = next.fetch_add(1); i < count && !failed.load(std::memory_order_relaxed);
         i = next.fetch_add(1)) {
      try {
        task(i);
      } catch (...) {
        if (!failed.exchange(true)) {
          failure = std::current_exception();
        }
      }
    }
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
