// SPDX-License-Identifier: Apache-2.0
#include "core/thread_pool.h"

#include <linux/futex.h>
#include <omp.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <limits>
#include <memory>
#include <mutex>
#include <vector>

#include "core/error.h"
#include "core/threads.h"

// How a region goes by:
//
//   caller   fills in the region, publishes its number, wakes who sleeps of those it wants
//   thread   sees a new number, reads the region, takes tasks from its range, then from others'
//   caller   does the same; then waits until as many tasks are done as there are
//
// The region lives in one place, used again and again, so a thread may come late to one that is
// over, or read while the next is being filled in. It cannot take a task then: the counters from
// which tasks are taken hold the region's number as well, and are changed by compare-and-swap. Who
// has taken a task has read the region of that number, which is held open by that task.
namespace inlay {
namespace {

using Clock = std::chrono::steady_clock;

// How long a thread looks out for the next region, and the caller for the last task, before it
// sleeps. A training step has a region every hundred microseconds or so; waking a thread takes some
// tens.
constexpr auto kThreadPatience = std::chrono::microseconds(200);
constexpr auto kCallerPatience = std::chrono::microseconds(100);
constexpr int kLooksBetweenClocks = 32;
// Beyond as many threads, several share a range.
constexpr int kMaxRanges = 64;

static_assert(sizeof(std::atomic<u32>) == sizeof(u32) && std::atomic<u32>::is_always_lock_free);

void sleep_while(std::atomic<u32>& word, u32 value) {
  syscall(SYS_futex, reinterpret_cast<u32*>(&word), FUTEX_WAIT_PRIVATE, value, nullptr, nullptr, 0);
}

void wake_one(std::atomic<u32>& word) {
  syscall(SYS_futex, reinterpret_cast<u32*>(&word), FUTEX_WAKE_PRIVATE, 1, nullptr, nullptr, 0);
}

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#endif
}

// Looks until seen() or the time is over; the last look's answer.
template <class Seen>
bool look_out(Clock::duration patience, Seen seen) {
  const auto end = Clock::now() + patience;
  do {
    for (int look = 0; look < kLooksBetweenClocks; ++look) {
      if (seen()) {
        return true;
      }
      pause();
    }
  } while (Clock::now() < end);
  return false;
}

// Signals are for the caller's thread; but a fault, as that of a page behind the end of a file that
// was cut, is told to the thread it happens in: where it is blocked, no handler can say what it was.
sigset_t signals_of_others() {
  sigset_t signals;
  sigfillset(&signals);
  for (const int fault : {SIGBUS, SIGSEGV, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT}) {
    sigdelset(&signals, fault);
  }
  return signals;
}

thread_local int this_thread = -1;

class ThreadPool {
 public:
  // Never destroyed: its threads outlive every static object.
  static ThreadPool& instance() {
    static auto* const pool = new ThreadPool;
    return *pool;
  }

  bool run(i64 count, int threads, FunctionRef<void(i64)> task) {
    const std::unique_lock one_caller(caller_, std::try_to_lock);
    if (!one_caller.owns_lock()) {
      return false;
    }
    start(threads - 1);
    INLAY_ASSERT(count <= i64{kIndexMask});
    publish(count, threads, task);
    work(number_.load(std::memory_order_relaxed), 0);
    wait_for_tasks();
    return true;
  }

 private:
  // A counter of tasks: the region's number above, the next task below.
  static constexpr u64 kIndexMask = 0xFFFFFFFF;
  static constexpr int kNumberShift = 32;
  // A cache line each, or threads would invalidate one another's at every task.
  struct alignas(64) Next {
    std::atomic<u64> word{0};
  };
  struct alignas(64) Worker {
    std::atomic<u32> asleep{0};
    int index = 0;
    ThreadPool* pool = nullptr;
  };

  void publish(i64 count, int threads, FunctionRef<void(i64)> task) {
    const u32 number = number_.load(std::memory_order_relaxed) + 1;
    const int ranges = std::min(threads, kMaxRanges);
    // First no counter is the last region's any more: who sees a part of the new one, and still
    // takes the old number to be right, must not find tasks in it.
    for (Next& next : next_) {
      next.word.store(u64{number} << kNumberShift | kIndexMask, std::memory_order_relaxed);
    }
    count_.store(count, std::memory_order_release);
    ranges_.store(ranges, std::memory_order_release);
    threads_.store(threads, std::memory_order_release);
    task_.store(&task, std::memory_order_release);
    left_.store(static_cast<u32>(count), std::memory_order_release);
    for (int r = 0; r < ranges; ++r) {
      next_[r].word.store(u64{number} << kNumberShift | static_cast<u64>(begin(count, ranges, r)),
                          std::memory_order_release);
    }
    // In one order with a worker's note that it sleeps: either it sees the number, or this its note.
    number_.store(number, std::memory_order_seq_cst);
    const int wanted = std::min<int>(threads - 1, static_cast<int>(workers_.size()));
    for (int w = 0; w < wanted; ++w) {
      std::atomic<u32>& asleep = workers_[static_cast<std::size_t>(w)]->asleep;
      if (asleep.load(std::memory_order_seq_cst) != 0 && asleep.exchange(0) != 0) {
        wake_one(asleep);
      }
    }
  }

  static i64 begin(i64 count, int ranges, int r) { return count * r / ranges; }

  // The tasks that this thread gets of region `number`.
  void work(u32 number, int thread) {
    const i64 count = count_.load(std::memory_order_acquire);
    const int ranges = ranges_.load(std::memory_order_acquire);
    const FunctionRef<void(i64)>* task = task_.load(std::memory_order_acquire);
    this_thread = thread;
    u32 done = 0;
    for (int i = 0; i < ranges; ++i) {
      const int range = (thread + i) % ranges;
      const i64 end = begin(count, ranges, range + 1);
      for (i64 index = take(range, number, end); index >= 0; index = take(range, number, end)) {
        (*task)(index);
        ++done;
      }
    }
    this_thread = -1;
    // Without a task this is no thread of the region, which may be over by now.
    if (done > 0 && left_.fetch_sub(done, std::memory_order_seq_cst) == done &&
        caller_sleeps_.load(std::memory_order_seq_cst)) {
      wake_one(left_);
    }
  }

  // The next task of a range of region `number`; -1 where there is none.
  i64 take(int range, u32 number, i64 end) {
    std::atomic<u64>& next = next_[range].word;
    u64 word = next.load(std::memory_order_acquire);
    do {
      if (word >> kNumberShift != number || static_cast<i64>(word & kIndexMask) >= end) {
        return -1;
      }
    } while (!next.compare_exchange_weak(word, word + 1, std::memory_order_acq_rel,
                                         std::memory_order_acquire));
    return static_cast<i64>(word & kIndexMask);
  }

  void wait_for_tasks() {
    const auto over = [&] { return left_.load(std::memory_order_acquire) == 0; };
    if (look_out(kCallerPatience, over)) {
      return;
    }
    caller_sleeps_.store(true, std::memory_order_seq_cst);
    for (u32 left = left_.load(); left != 0; left = left_.load()) {
      sleep_while(left_, left);
    }
    caller_sleeps_.store(false, std::memory_order_relaxed);
  }

  // As many as the system starts: with fewer, the others take their tasks.
  void start(int workers) {
    if (static_cast<int>(workers_.size()) >= std::min(workers, startable_)) {
      return;
    }
    pthread_attr_t attributes;
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, static_cast<std::size_t>(thread_stack_bytes()));
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    const sigset_t others = signals_of_others();
    sigset_t before;
    pthread_sigmask(SIG_BLOCK, &others, &before);
    while (static_cast<int>(workers_.size()) < workers) {
      auto worker = std::make_unique<Worker>();
      worker->index = static_cast<int>(workers_.size()) + 1;
      worker->pool = this;
      pthread_t thread{};
      if (pthread_create(&thread, &attributes, be_worker, worker.get()) != 0) {
        startable_ = static_cast<int>(workers_.size());
        break;
      }
      workers_.push_back(std::move(worker));
    }
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    pthread_attr_destroy(&attributes);
  }

  static void* be_worker(void* data) {
    auto* worker = static_cast<Worker*>(data);
    bind_to_place(worker->index);
    worker->pool->serve(*worker);
    return nullptr;
  }

  // Where OMP_PLACES or OMP_PROC_BIND give threads places, each its own.
  static void bind_to_place(int thread) {
    const int places = omp_get_proc_bind() == omp_proc_bind_false ? 0 : omp_get_num_places();
    if (places == 0) {
      return;
    }
    const int place = thread % places;
    std::vector<int> processors(static_cast<std::size_t>(omp_get_place_num_procs(place)));
    omp_get_place_proc_ids(place, processors.data());
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const int processor : processors) {
      CPU_SET(static_cast<std::size_t>(processor), &set);
    }
    sched_setaffinity(0, sizeof set, &set);
  }

  [[noreturn]] void serve(Worker& worker) {
    u32 seen = 0;
    for (;;) {
      seen = next_region(worker, seen);
      if (worker.index < threads_.load(std::memory_order_relaxed)) {
        work(seen, worker.index);
      }
    }
  }

  // The number of a region other than `seen`, once there is one.
  u32 next_region(Worker& worker, u32 seen) {
    u32 number = seen;
    const auto there = [&] {
      number = number_.load(std::memory_order_acquire);
      return number != seen;
    };
    if (look_out(kThreadPatience, there)) {
      return number;
    }
    for (;;) {
      worker.asleep.store(1, std::memory_order_seq_cst);
      number = number_.load(std::memory_order_seq_cst);
      if (number != seen) {
        worker.asleep.store(0, std::memory_order_relaxed);
        return number;
      }
      sleep_while(worker.asleep, 1);
      if (there()) {
        return number;
      }
    }
  }

  std::mutex caller_;
  std::vector<std::unique_ptr<Worker>> workers_;
  int startable_ = std::numeric_limits<int>::max();

  // The region.
  alignas(64) std::atomic<u32> number_{0};
  std::atomic<i64> count_{0};
  std::atomic<int> ranges_{0}, threads_{0};
  std::atomic<const FunctionRef<void(i64)>*> task_{nullptr};
  alignas(64) std::atomic<u32> left_{0};  // tasks not yet done
  std::atomic<bool> caller_sleeps_{false};
  Next next_[kMaxRanges];
};

}  // namespace

bool run_on_threads(i64 count, int threads, FunctionRef<void(i64 task)> task) {
  return ThreadPool::instance().run(count, threads, task);
}

int pool_thread() {
  return this_thread;
}

}  // namespace inlay
